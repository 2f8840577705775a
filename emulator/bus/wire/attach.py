"""Opening links: which node a client attaches to, and whether it may."""

import asyncio
from collections.abc import Callable
from functools import partial

from emulator.bus.amqp.performatives import Attach, Flow, Transfer
from emulator.bus.amqp.types import Described, Symbol, Ulong, Value
from emulator.bus.cbs import answer_token
from emulator.bus.errors import BusError, Condition
from emulator.bus.intake import accept_payload
from emulator.bus.management import answer_operation
from emulator.bus.requests import Request
from emulator.bus.sas import Grants
from emulator.bus.store.message import SessionLock
from emulator.bus.store.queue import MessageQueue
from emulator.bus.store.store import DEAD_LETTER_SUFFIX
from emulator.bus.wire.address import Address, NodeKind, read_address
from emulator.bus.wire.broker import Broker
from emulator.bus.wire.inbound import InboundLink
from emulator.bus.wire.outbound import QueueLink, ReplyLink
from emulator.bus.wire.session import Departure, Link, Session

SESSION_FILTER = Symbol("com.microsoft:session-filter")
_TIMEOUT = Symbol("com.microsoft:timeout")
_LOCKED_UNTIL = Symbol("com.microsoft:locked-until-utc")
_DEFAULT_WAIT_S = 60.0  # for a session, where the client names no timeout
_TICKS_TO_1970 = 621_355_968_000_000_000  # .NET ticks of 100 ns since year 1
_FILTER_FIELD = 7  # of a source: part 3, section 3.5.3


class Reception:
    """Opens the links of one connection."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._grants = Grants()

    def open_link(self, session: Session, attach: Attach) -> Link:
        """Opens our end of a link.

        Raises:
            BusError: no such entity, no valid token for it, or not the way to attach to it.
        """
        address = read_address(attach.source if attach.role else attach.target)
        if address.kind is not NodeKind.TOKENS:
            self._grants.require(address.path, self._broker.store.now())
        if address.kind is NodeKind.MESSAGES:
            queue = self._broker.store.queue(address.path)
            return self._open_receiver(session, attach, queue) if attach.role else _sender(session, attach, queue)
        if attach.role:
            return ReplyLink(session, attach, address)
        return InboundLink(
            session, attach, partial(self._accept_request, session, address, self._node(session, address))
        )

    def _node(self, session: Session, address: Address) -> Callable[[Request], bytes]:
        if address.kind is NodeKind.MANAGEMENT:
            queue = self._broker.store.queue(address.path)
            return lambda request: answer_operation(request, queue, session.peer)
        return lambda request: answer_token(request, self._broker.verifier, self._grants, self._broker.store.now())

    def _accept_request(
        self,
        session: Session,
        address: Address,
        answer: Callable[[Request], bytes],
        payload: bytes,
        _message_format: int,
    ) -> None:
        _reply_link(session, address).reply(answer(Request.read(payload)))

    def _open_receiver(self, session: Session, attach: Attach, queue: MessageQueue) -> Link:
        dispatcher = self._broker.dispatcher(queue)
        wants_session, session_id = _read_filter(attach)
        if queue.rules.requires_session != wants_session:
            needs = "requires sessions" if queue.rules.requires_session else "has no sessions"
            raise BusError(Condition.NOT_ALLOWED, f"'{queue.rules.path}' {needs}; receive accordingly.")
        if not wants_session:
            session.confirm(attach, properties={})
            return QueueLink(session, attach, queue, dispatcher)
        lock = queue.accept_session(session_id)
        if lock is not None:
            return _session_link(self._broker, session, attach, queue, lock)
        return SessionWait(self._broker, session, attach, queue)


def _reply_link(session: Session, address: Address) -> ReplyLink:
    """Where the client awaits the replies of a node.

    Raises:
        BusError: `amqp:not-allowed`, nowhere.
    """
    for link in session.links.values():
        if isinstance(link, ReplyLink) and link.address == address:
            return link
    raise BusError(Condition.NOT_ALLOWED, "Attach a receiver for the reply first.")


def _sender(session: Session, attach: Attach, queue: MessageQueue) -> Link:
    if queue.rules.path.lower().endswith(DEAD_LETTER_SUFFIX):
        raise BusError(Condition.NOT_ALLOWED, "Nobody sends to a dead-letter queue.")
    return InboundLink(session, attach, partial(accept_payload, queue))


def _session_link(
    broker: Broker, session: Session, attach: Attach, queue: MessageQueue, lock: SessionLock
) -> QueueLink:
    """Confirms the attach with the session's name in the filter and the end of its lock."""
    source = list(attach.source.value)
    lock.holder = session.peer
    source[_FILTER_FIELD] = {**source[_FILTER_FIELD], SESSION_FILTER: lock.session_id}
    ticks = round(lock.until * 10_000_000) + _TICKS_TO_1970
    session.confirm(attach, source=Described(Ulong(0x28), source), properties={_LOCKED_UNTIL: ticks})
    return QueueLink(session, attach, queue, broker.dispatcher(queue), lock)


def _read_filter(attach: Attach) -> tuple[bool, str | None]:
    """Whether the client asks for a session, and for which: None is any."""
    fields: list[Value] = attach.source.value
    filters = fields[_FILTER_FIELD] if len(fields) > _FILTER_FIELD else None
    if not isinstance(filters, dict) or SESSION_FILTER not in filters:
        return False, None
    wanted = filters[SESSION_FILTER]
    if isinstance(wanted, Described):
        wanted = wanted.value
    return True, None if wanted is None else str(wanted)


class SessionWait:
    """A link on its way: the client waits for any session that has messages."""

    def __init__(self, broker: Broker, session: Session, attach: Attach, queue: MessageQueue) -> None:
        self._broker = broker
        self._session = session
        self._attach = attach
        self._queue = queue
        wait_ms = (attach.properties or {}).get(_TIMEOUT)
        wait_s = _DEFAULT_WAIT_S if wait_ms is None else wait_ms / 1000
        self._alarm: asyncio.TimerHandle = broker.loop.call_later(wait_s, self._give_up)
        broker.dispatcher(queue).wait(self)

    def grant(self, lock: SessionLock) -> None:
        """Completes the attach."""
        self._alarm.cancel()
        link = _session_link(self._broker, self._session, self._attach, self._queue, lock)
        self._session.links[self._attach.handle] = link

    def _give_up(self) -> None:
        self._broker.dispatcher(self._queue).forget(self)
        del self._session.links[self._attach.handle]
        error = BusError(Condition.TIMEOUT, "No session had messages within the time asked for.")
        self._session.refuse(self._attach, error)

    def on_flow(self, flow: Flow) -> None:
        """Too early; ignored."""

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A client does not send here; ignored."""

    def close(self, _departure: Departure, /) -> None:
        """The client no longer waits."""
        self._alarm.cancel()
        self._broker.dispatcher(self._queue).forget(self)
