"""Messages set aside: parked because nobody could use them, or given up by their queue. They can be sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.ports.bus import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A message that waits for somebody to look at it.

    Attributes:
        id: What a person names it by: ``parked/<blob>``, or ``dead/<queue>/<sequence number>``.
        queue: Where it belongs; None where no queue takes it.
        session_id: Empty where it had none, or nobody knows it.
        code: A stable word for why.
        reason: A sentence for people.
        since: Aware UTC.
        receipt: Changes when the same message is set aside again.
    """

    id: str
    queue: Queue | None
    session_id: str
    code: str
    reason: str
    since: datetime
    receipt: str


REPORTS = "reports"
"""Reports that came with an event and could not be read are parked from this source."""


def queue_of(source: str) -> Queue | None:
    """The queue that takes what was parked from a source; None where none does.

    What other events said cannot be sent again. Nothing is lost by it: sweeps read twins and artifacts themselves.
    """
    if source == REPORTS:
        return Queue.REPORT_BACKLOG
    return Queue(source) if source in list(Queue) else None


type Send = Callable[[SetAside, bytes], None]
"""Sends a message with its body again."""


class SetAsideMessages(Protocol):
    """A place where messages are set aside."""

    def list(self) -> Iterator[SetAside]:
        """All that is there now; nothing is taken.

        Raises:
            PortError: The place does not answer.
        """

    def resend(self, chosen: Sequence[SetAside], send: Send) -> int:
        """Hand each that is still there to ``send``, then remove it; how many there were.

        A message that was set aside once more meanwhile stays.

        Raises:
            PortError: Some may have been sent and not removed; doing it again sends them under the same ids.
        """
