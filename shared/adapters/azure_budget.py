"""The ``budget`` table on Azure Table storage: one row per hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.domain.pacing import LONG_AGO, Budget
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.stored import Stored
from shared.wire.keys import escape

PARTITION = "budget"


class AzureBudget:
    """A ``BudgetStore``.

    The ceiling and the bandwidth are the settings' and not the row's, so that a hub that was scaled is used at once;
    the rate never exceeds the ceiling.
    """

    def __init__(
        self, table: TableClient, *, hub: str, ceiling_per_s: float, bandwidth_bytes_per_s: int | None = None
    ) -> None:
        self._table = table
        self._row_key = escape(hub)
        self._ceiling_per_s = ceiling_per_s
        self._bandwidth_bytes_per_s = bandwidth_bytes_per_s

    def get(self) -> Stored[Budget]:
        try:
            return self._read()
        except NotThere:
            return self._make()

    def save(self, budget: Stored[Budget]) -> None:
        with table_errors():
            self._table.update_entity(
                self._write(budget.value),
                mode=UpdateMode.REPLACE,
                etag=budget.etag,
                match_condition=MatchConditions.IfNotModified,
            )

    def _read(self) -> Stored[Budget]:
        with table_errors():
            row = self._table.get_entity(PARTITION, self._row_key)
        budget = replace(_read(row, self._ceiling_per_s), bandwidth_bytes_per_s=self._bandwidth_bytes_per_s)
        return Stored(value=budget, etag=str(row.metadata["etag"]))

    def _make(self) -> Stored[Budget]:
        budget = Budget(
            rate_per_s=self._ceiling_per_s,
            ceiling_per_s=self._ceiling_per_s,
            next_free_at=LONG_AGO,
            adjusted_at=LONG_AGO,
        )
        try:
            with table_errors():
                self._table.create_entity(self._write(budget))
        except AlreadyExists:
            pass
        return self._read()

    def _write(self, budget: Budget) -> dict[str, Any]:
        return {
            "PartitionKey": PARTITION,
            "RowKey": self._row_key,
            "rate_per_s": float(budget.rate_per_s),
            "ceiling_per_s": float(budget.ceiling_per_s),
            "next_free_at": budget.next_free_at,
            "adjusted_at": budget.adjusted_at,
            "wire_free_at": budget.wire_free_at,
            "urgent_priority": budget.urgent_priority,
            "urgent_until": budget.urgent_until,
        }


def _read(row: Mapping[str, Any], ceiling_per_s: float) -> Budget:
    # A hub that was scaled up deserves its full rate, as long as nothing has slowed it down.
    was_full = row["rate_per_s"] >= row["ceiling_per_s"]
    return Budget(
        rate_per_s=ceiling_per_s if was_full else min(row["rate_per_s"], ceiling_per_s),
        ceiling_per_s=ceiling_per_s,
        next_free_at=row["next_free_at"],
        adjusted_at=row["adjusted_at"],
        wire_free_at=row.get("wire_free_at", LONG_AGO),
        urgent_priority=row.get("urgent_priority", 0),
        urgent_until=row.get("urgent_until", LONG_AGO),
    )
