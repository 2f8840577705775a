"""Dry runs that nothing has come of for days are forgotten: first the blobs of their drafts, then their rows.

Blobs are listed before rows are looked at, and go only as they were listed. So whoever asks for the same dry run again
meanwhile, or dies here after any of the deletions, leaves nothing half there: a row whose blobs are gone is taken up by
the next run, and so are blobs whose dry run died before it had a row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from shared.domain.ids import OperationId
from shared.domain.operations import KEEP, Operation
from shared.handlers.unreadable_rows import readable
from shared.ports.errors import ConcurrentChange, NotThere, UnreadableRow
from shared.ports.operations import DraftBlob, DraftBlobs, OperationStore
from shared.ports.stored import Stored

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingPorts:
    """What forgetting needs from outside.

    Attributes:
        patience: How long one run may take; what is left is for the next.
    """

    operations: OperationStore
    drafts: DraftBlobs
    clock: Callable[[], datetime]
    patience: timedelta = timedelta(minutes=8)


def forget_operations(ports: ForgettingPorts) -> int:
    """Forget every dry run that is old enough, as far as there is time; how many went.

    Raises:
        PortError: A store does not answer; the next run goes on.
    """
    since, gives_up_at = ports.clock() - KEEP, ports.clock() + ports.patience
    blobs = {name: list(some) for name, some in groupby(ports.drafts.list_drafts(), lambda blob: blob.operation)}
    rows = {row.value.id: row for row in readable(ports.operations.list_unchanged(since))}
    gone = 0
    for operation in sorted({*rows, *blobs}):
        if ports.clock() >= gives_up_at:
            break
        gone += _forget(operation, rows.get(operation), blobs.get(operation, []), since, ports)
    if gone:
        log.info("%d dry runs of before %s are forgotten", gone, since)
    return gone


def _forget(
    operation: OperationId,
    row: Stored[Operation] | None,
    blobs: Sequence[DraftBlob],
    since: datetime,
    ports: ForgettingPorts,
) -> bool:
    if row is None and not _is_left_over(operation, blobs, since, ports):
        return False
    for blob in blobs:
        ports.drafts.delete_draft(blob)
    try:
        if row is not None:
            ports.operations.delete(row)
    except ConcurrentChange:
        log.info("%s is being worked on, or another run forgot it", operation)
        return False
    return True


def _is_left_over(operation: OperationId, blobs: Sequence[DraftBlob], since: datetime, ports: ForgettingPorts) -> bool:
    """Whether old blobs lie there without a row, because who wrote them died before the row was made."""
    if any(blob.changed_at > since for blob in blobs):
        return False
    try:
        ports.operations.get(operation)
    except NotThere:
        return True
    except UnreadableRow:
        return False
    return False
