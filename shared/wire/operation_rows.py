"""Rows of the table ``operations``: columns that a person can read with a plain query, the rest as JSON beside them.

Partition = operation, row ``operation``. The draft is written as campaigns are, its columns beginning with ``draft_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from shared.domain.ids import OperationId
from shared.domain.operations import Operation, OperationState
from shared.domain.plan_findings import Findings
from shared.domain.waves import Wave
from shared.wire.campaign_rows import read_campaign, write_campaign_row
from shared.wire.known import read_column, refuse_unknown, write_column

OPERATION_ROW = "operation"
_DRAFT = "draft_"
_COLUMNS = frozenset(
    {
        *("PartitionKey", "RowKey", "state", "reason", "step", "step_due_at", "looked_at"),
        *("created_at", "changed_at", "findings", "waves"),
    }
)

_FINDINGS: TypeAdapter[Findings] = TypeAdapter(Findings)
_WAVES: TypeAdapter[tuple[Wave, ...]] = TypeAdapter(tuple[Wave, ...])


def write_operation_row(operation: Operation) -> dict[str, Any]:
    """The row of an operation."""
    draft = write_campaign_row(operation.draft)
    return {
        "PartitionKey": operation.id,
        "RowKey": OPERATION_ROW,
        "state": operation.state.value,
        "reason": operation.reason,
        "step": operation.step,
        "step_due_at": operation.step_due_at,
        "looked_at": operation.findings.looked_at,
        "created_at": operation.created_at,
        "changed_at": operation.changed_at,
        "findings": write_column(_FINDINGS, operation.findings),
        "waves": write_column(_WAVES, operation.draft.waves),
        **{f"{_DRAFT}{column}": value for column, value in draft.items()},
    }


def read_operation(row: Mapping[str, Any]) -> Operation:
    """The operation in its row.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    columns = {name.removeprefix(_DRAFT): value for name, value in row.items() if name.startswith(_DRAFT)}
    refuse_unknown({name: value for name, value in row.items() if not name.startswith(_DRAFT)}, _COLUMNS)
    return Operation(
        id=OperationId(row["PartitionKey"]),
        draft=replace(read_campaign(columns), waves=read_column(_WAVES, row["waves"])),
        findings=read_column(_FINDINGS, row["findings"]),
        state=OperationState(row["state"]),
        reason=row["reason"],
        step=row["step"],
        step_due_at=row["step_due_at"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
