"""Links a client receives on."""

from collections import deque
from functools import partial
from uuid import UUID, uuid4

from emulator.bus.amqp.outcomes import confirmed, read_verdict, write_rejected
from emulator.bus.amqp.performatives import Attach, Flow, Transfer
from emulator.bus.amqp.types import Value
from emulator.bus.errors import BusError, Condition
from emulator.bus.store.message import SessionLock
from emulator.bus.store.queue import MessageQueue
from emulator.bus.wire.address import Address
from emulator.bus.wire.dispatch import Dispatcher
from emulator.bus.wire.session import Departure, Session

_SETTLED = 1  # snd-settle-mode: receive and delete


class OutboundLink:
    """Credit and drain (part 2, section 2.6.7)."""

    def __init__(self, session: Session, attach: Attach) -> None:
        self._session = session
        self._handle = attach.handle
        self._delivery_count = 0
        self._credit = 0

    def on_flow(self, flow: Flow) -> None:
        """Takes new credit; when asked to drain, uses up what is left after sending what there is."""
        if flow.link_credit is not None:
            self._credit = max(0, (flow.delivery_count or 0) + flow.link_credit - self._delivery_count)
        self.deliver()
        if flow.drain:
            self._delivery_count += self._credit
            self._credit = 0
        if flow.drain or flow.echo:
            self._session.send_flow(
                handle=self._handle,
                delivery_count=self._delivery_count,
                link_credit=self._credit,
                drain=flow.drain,
            )

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A client does not send here; ignored."""

    def can_send(self) -> bool:
        """Whether a message would leave at once."""
        return self._credit > 0 and self._session.is_writable()

    def deliver(self) -> None:
        """Sends what there is and credit allows."""

    def _spend(self) -> None:
        self._credit -= 1
        self._delivery_count += 1


class ReplyLink(OutboundLink):
    """Carries replies of `$cbs` or `$management`; they wait for credit.

    Attributes:
        address: whose replies.
    """

    def __init__(self, session: Session, attach: Attach, address: Address) -> None:
        super().__init__(session, attach)
        self.address = address
        self._replies: deque[bytes] = deque()
        session.confirm(attach, properties={})

    def reply(self, payload: bytes) -> None:
        """Sends a reply as soon as credit allows."""
        self._replies.append(payload)
        self.deliver()

    def deliver(self) -> None:
        """Sends waiting replies."""
        while self._replies and self._credit > 0:
            self._spend()
            self._session.send_message(self._handle, uuid4().bytes, self._replies.popleft(), None)

    def close(self, _departure: Departure, /) -> None:
        """Replies nobody waits for are forgotten."""
        self._replies.clear()


class QueueLink(OutboundLink):
    """Delivers messages of a queue, or of one session of it, locked or for good.

    Attributes:
        held: the session lock, on a queue with sessions.
    """

    def __init__(
        self,
        session: Session,
        attach: Attach,
        queue: MessageQueue,
        dispatcher: Dispatcher,
        held: SessionLock | None = None,
    ) -> None:
        super().__init__(session, attach)
        self.held = held
        self._queue = queue
        self._dispatcher = dispatcher
        self._for_good = attach.snd_settle_mode == _SETTLED
        dispatcher.add(self)

    def deliver(self) -> None:
        """Takes part in the queue's round."""
        self._dispatcher.run()

    def deliver_one(self) -> bool:
        """Sends the next message, if there is one and the client may be sent one."""
        if not self.can_send():
            return False
        message = self._queue.take(self.held) if self._for_good else self._queue.acquire(self.held)
        if message is None:
            return False
        self._spend()
        if message.lock is None:
            self._session.send_message(self._handle, uuid4().bytes, message.encoded(), None)
        else:
            token = message.lock.token
            settle = partial(self._settle, token)
            self._session.send_message(self._handle, token.bytes_le, message.encoded(), settle)
        return True

    def _settle(self, token: UUID, state: Value) -> Value:
        """Settles, and confirms or rejects with the cause."""
        try:
            self._queue.settle(token, read_verdict(state))
        except BusError as error:
            return write_rejected(error)
        return confirmed(state)

    def lose_session(self) -> None:
        """Tells the client that its session lock has expired."""
        name = self.held.session_id if self.held else ""
        error = BusError(Condition.SESSION_LOCK_LOST, f"The lock on the session '{name}' has expired.")
        self._session.detach(self._handle, error)

    def close(self, departure: Departure, /) -> None:
        """A clean close gives the session up; a vanished client's locks run out by themselves."""
        self._dispatcher.remove(self)
        if self.held is not None and departure is Departure.CLEAN:
            self._queue.close_session(self.held)
