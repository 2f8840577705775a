"""Sending messages again that were set aside, once what was in their way is mended.

Each is sent before it is removed: a death between the two leaves it where it is, and the next replay sends it under the
same id. The queue drops the repeat within its ten minutes; a later one meets handlers that take a message twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shared.ports.bus import MessageSender, OutgoingMessage, Queue
from shared.ports.replay import SetAside, SetAsideMessages

SESSIONED = frozenset({Queue.INDEX_REQUESTS, Queue.CAMPAIGN_STEPS, Queue.REPORT_BACKLOG})
ANY_SESSION = "replay"
"""For messages whose session nobody knows: sessions only keep order, and every row is written conditionally."""


def replay(chosen: Sequence[SetAside], place: SetAsideMessages, sender: MessageSender) -> int:
    """Send the chosen messages again and remove them; how many were still there.

    Raises:
        PortError: A service does not answer; doing it again is safe.
    """

    def send(message: SetAside, body: bytes) -> None:
        if message.queue is not None:
            sender.send(message.queue, [_again(message, message.queue, body)])

    return place.resend([message for message in chosen if message.queue is not None], send)


def replay_id(message: SetAside) -> str:
    """The id it is sent under: not its own, which the queue may still know and would drop."""
    return hashlib.sha256(f"replay:{message.id}:{message.receipt}".encode()).hexdigest()[:32]


def _again(message: SetAside, queue: Queue, body: bytes) -> OutgoingMessage:
    session = (message.session_id or ANY_SESSION) if queue in SESSIONED else ""
    return OutgoingMessage(body=body, message_id=replay_id(message), session_id=session)
