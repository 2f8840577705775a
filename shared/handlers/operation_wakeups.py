"""The messages that wake dry runs."""

from __future__ import annotations

from datetime import datetime

from shared.domain.ids import OperationId
from shared.ports.bus import OutgoingMessage
from shared.wire.messages import OperationStep, write_message


def request_operation_step(
    operation: OperationId, step: int, *, enqueue_at: datetime | None = None, again_at: datetime | None = None
) -> OutgoingMessage:
    """A message for ``operation-steps``: take this step of a dry run, now or at ``enqueue_at``.

    Args:
        again_at: The time, where the step is overdue: its id is new every minute then, so that it is not dropped.
    """
    repeat = "" if again_at is None else f":{int(again_at.timestamp()) // 60}"
    return OutgoingMessage(
        body=write_message(OperationStep(operation=operation, step=step)),
        message_id=f"{operation}:{step}{repeat}",
        session_id=operation,
        enqueue_at=enqueue_at,
    )
