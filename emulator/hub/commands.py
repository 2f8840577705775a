"""Cloud-to-device messages waiting for one device.

IoT Hub developer guide, "Send cloud-to-device messages": 50 pending messages of at most 64 KB, one hour to live.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from emulator.hub.errors import Code, HubError

MAX_PENDING = 50
MAX_BYTES = 64 * 1024
DEFAULT_TTL = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One message."""

    message_id: str
    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    expires_at: datetime


class CommandQueue:
    """The pending messages, oldest first; one leaves when the device acknowledges it or it expires."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[str, Command] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, command: Command, now: datetime) -> None:
        """Append a message.

        Raises:
            HubError: 403004 where 50 are waiting, 413001 for one too large.
        """
        if len(command.body) > MAX_BYTES:
            raise HubError(Code.MESSAGE_TOO_LARGE, f"A message has at most {MAX_BYTES} bytes")
        self._expire(now)
        if len(self._pending) >= MAX_PENDING:
            raise HubError(Code.QUEUE_DEPTH_EXCEEDED, f"{MAX_PENDING} messages are waiting for the device")
        self._pending[command.message_id] = command

    def waiting(self, now: datetime) -> Iterator[Command]:
        """All that have not expired, oldest first."""
        self._expire(now)
        return iter(list(self._pending.values()))

    def acknowledge(self, message_id: str) -> None:
        self._pending.pop(message_id, None)

    def purge(self) -> int:
        """Drop all; how many there were."""
        count = len(self._pending)
        self._pending.clear()
        return count

    def _expire(self, now: datetime) -> None:
        for command in [held for held in self._pending.values() if held.expires_at <= now]:
            del self._pending[command.message_id]
