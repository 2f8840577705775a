"""One connection: protocol headers, SASL, open and close, heartbeats (part 2, section 2.4; part 5)."""

import asyncio
from collections.abc import Callable

from emulator.bus.amqp.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_HEADER,
    Frame,
    FrameBuffer,
    FrameType,
    ProtocolHeader,
    write_frame,
)
from emulator.bus.amqp.outcomes import write_error
from emulator.bus.amqp.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
    read_performative,
)
from emulator.bus.amqp.types import Array, Symbol
from emulator.bus.errors import BusError, Condition
from emulator.bus.wire.attach import Reception
from emulator.bus.wire.broker import Broker
from emulator.bus.wire.session import Departure, Session

MAX_FRAME_BYTES = 65_536  # what Service Bus announces
_MECHANISMS = ("MSSBCBS", "ANONYMOUS", "EXTERNAL")  # none proves anything: the token comes over $cbs


class Connection(asyncio.Protocol):
    """Speaks AMQP 1.0 with one client.

    A protocol error closes the connection with its cause.
    """

    def __init__(self, broker: Broker, idle_timeout_s: float, on_lost: Callable[["Connection"], None]) -> None:
        self._broker = broker
        self._on_lost = on_lost
        self._idle_timeout_s = idle_timeout_s
        self._frames = FrameBuffer(MAX_FRAME_BYTES)
        self._reception = Reception(broker)
        self._sessions: dict[int, Session] = {}
        self._frame_limit = 512
        self._writable = True
        self._heard_at = broker.loop.time()
        self._timers: list[asyncio.TimerHandle] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio gives streams this type
        self._transport = transport
        self._watch_silence()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone, cleanly or not."""
        for timer in self._timers:
            timer.cancel()
        self._end_sessions(Departure.VANISHED)
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable = True
        self._broker.wake_all()

    def data_received(self, data: bytes) -> None:
        """Handles every complete frame; a client that breaks the protocol is shown the door."""
        self._heard_at = self._broker.loop.time()
        try:
            for found in self._frames.feed(data):
                if self._transport.is_closing():
                    return
                if isinstance(found, ProtocolHeader):
                    self._on_header(found)
                elif found.body:
                    self._on_frame(found)
        except BusError as error:
            self._shut(error)

    def write(self, channel: int, frame: Performative, payload: bytes = b"") -> None:
        """Sends one frame."""
        kind = FrameType.SASL if frame.CODE >= SaslMechanisms.CODE else FrameType.AMQP
        self._transport.write(write_frame(kind, channel, frame.encoded() + payload))

    def frame_limit(self) -> int:
        """The largest frame, in bytes, that the client takes."""
        return self._frame_limit

    def is_writable(self) -> bool:
        """Whether the client keeps up with what is sent."""
        return self._writable and not self._transport.is_closing()

    def _on_header(self, header: ProtocolHeader) -> None:
        if header.raw == SASL_HEADER:
            self._transport.write(SASL_HEADER)
            offered = Array(tuple(Symbol(name) for name in _MECHANISMS))
            self.write(0, SaslMechanisms(mechanisms=offered))
            return
        self._transport.write(AMQP_HEADER)
        if header.raw != AMQP_HEADER:
            self._transport.close()

    def _on_frame(self, frame: Frame) -> None:
        body, payload = read_performative(frame.body)
        match body:
            case SaslInit():
                self.write(0, SaslOutcome(code=0 if body.mechanism in _MECHANISMS else 1))
            case Open():
                self._on_open(body)
            case Close():
                self._end_sessions(Departure.CLEAN)
                self._shut(None)
            case Begin():
                if frame.channel in self._sessions:
                    raise BusError(Condition.ILLEGAL_STATE, f"channel {frame.channel} has a session already")
                self._sessions[frame.channel] = Session(self, frame.channel, body)
            case End():
                self._session(frame.channel).on_end()
                del self._sessions[frame.channel]
            case _:
                self._on_session_frame(self._session(frame.channel), body, payload)

    def _on_session_frame(self, session: Session, body: Performative, payload: bytes) -> None:
        match body:
            case Transfer():
                session.on_transfer(body, payload)
            case Disposition():
                session.on_disposition(body)
            case Flow():
                session.on_flow(body)
            case Attach():
                session.attach(body, self._reception.open_link)
            case Detach():
                session.on_detach(body)
            case _:
                raise BusError(Condition.NOT_ALLOWED, "a client does not send this frame")

    def _session(self, channel: int) -> Session:
        session = self._sessions.get(channel)
        if session is None:
            raise BusError(Condition.ILLEGAL_STATE, f"no session has begun on channel {channel}")
        return session

    def _on_open(self, opened: Open) -> None:
        self._frame_limit = max(512, min(opened.max_frame_size, MAX_FRAME_BYTES))
        self.write(
            0,
            Open(
                container_id="bus",
                max_frame_size=MAX_FRAME_BYTES,
                channel_max=4999,
                idle_timeout_ms=int(self._idle_timeout_s * 1000),
            ),
        )
        if opened.idle_timeout_ms:
            self._beat(opened.idle_timeout_ms / 2000)

    def _beat(self, every_s: float) -> None:
        """Sends an empty frame twice within the client's idle timeout."""
        self._transport.write(EMPTY_FRAME)
        self._after(every_s, lambda: self._beat(every_s))

    def _watch_silence(self) -> None:
        """Closes the connection once the client has been silent for the time we announced, plus half."""
        silent_s = self._broker.loop.time() - self._heard_at
        if silent_s >= self._idle_timeout_s * 1.5:
            self._shut(BusError(Condition.CONNECTION_FORCED, "nothing heard for the idle timeout"))
        else:
            self._after(self._idle_timeout_s / 2, self._watch_silence)

    def _after(self, delay_s: float, call: Callable[[], None]) -> None:
        now = self._broker.loop.time()
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > now]
        self._timers.append(self._broker.loop.call_later(delay_s, call))

    def _shut(self, error: BusError | None) -> None:
        self.write(0, Close(error=None if error is None else write_error(error)))
        self._transport.close()

    def _end_sessions(self, departure: Departure) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.end(departure)

    def drop(self) -> None:
        """Cuts the connection off, as a server does that stops."""
        self._transport.close()
