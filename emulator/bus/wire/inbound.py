"""Links a client sends on."""

from collections.abc import Callable

from emulator.bus.amqp.outcomes import ACCEPTED, write_rejected
from emulator.bus.amqp.performatives import Attach, Disposition, Flow, Transfer
from emulator.bus.amqp.types import Value
from emulator.bus.config import STANDARD_MAX_MESSAGE_BYTES
from emulator.bus.errors import BusError
from emulator.bus.intake import check_size
from emulator.bus.wire.session import Departure, Session

_CREDIT = 1000
_REFILL_BELOW = 500

type Accept = Callable[[bytes, int], None]
"""Takes an encoded message and its message format; raises BusError to reject it."""


class InboundLink:
    """Puts messages together from frames, hands them on, and says what became of them."""

    def __init__(self, session: Session, attach: Attach, accept: Accept) -> None:
        self._session = session
        self._handle = attach.handle
        self._accept = accept
        self._delivery_count = attach.initial_delivery_count or 0
        self._credit = 0
        self._first: Transfer | None = None
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        session.confirm(attach, max_message_size=STANDARD_MAX_MESSAGE_BYTES, properties={})
        self._grant()

    def _grant(self) -> None:
        self._credit = _CREDIT
        self._session.send_flow(handle=self._handle, delivery_count=self._delivery_count, link_credit=self._credit)

    def on_flow(self, flow: Flow) -> None:
        """A sender tells where it stands; only an echo wants an answer."""
        if flow.echo:
            self._grant()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Keeps the piece; the last one completes the message."""
        first = self._first or transfer
        self._first = first
        self._size_bytes += len(payload)
        if self._size_bytes <= STANDARD_MAX_MESSAGE_BYTES:
            self._pieces.append(payload)
        if transfer.more and not transfer.aborted:
            return
        message, size_bytes = b"".join(self._pieces), self._size_bytes
        self._first, self._pieces, self._size_bytes = None, [], 0
        self._count_delivery()
        if not transfer.aborted:
            self._conclude(first, transfer, self._judge(message, size_bytes, first.message_format or 0))

    def _count_delivery(self) -> None:
        self._delivery_count += 1
        self._credit -= 1
        if self._credit < _REFILL_BELOW:
            self._grant()

    def _judge(self, message: bytes, size_bytes: int, message_format: int) -> Value:
        try:
            check_size(size_bytes)
            self._accept(message, message_format)
        except BusError as error:
            return write_rejected(error)
        return ACCEPTED

    def _conclude(self, first: Transfer, last: Transfer, state: Value) -> None:
        if not (first.settled or last.settled) and first.delivery_id is not None:
            number = first.delivery_id
            self._session.write(Disposition(role=True, first=number, last=number, settled=True, state=state))

    def close(self, _departure: Departure, /) -> None:
        """Half a message is forgotten."""
