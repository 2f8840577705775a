"""A bare AMQP client that does just what a test tells it, good manners or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from azure.servicebus._base_handler import _generate_sas_token

from emulator.bus.amqp.encoder import encode
from emulator.bus.amqp.frames import AMQP_HEADER, EMPTY_FRAME, Frame, FrameBuffer, FrameType, write_frame
from emulator.bus.amqp.performatives import (
    Attach,
    Begin,
    Flow,
    Open,
    Performative,
    Transfer,
    read_performative,
)
from emulator.bus.amqp.sections import Section, write_section
from emulator.bus.amqp.types import Described, Symbol, Ulong, Value
from tests.support.bus import BusThread

SOURCE, TARGET = 0x28, 0x29
SESSION_FILTER = Symbol("com.microsoft:session-filter")


class BareClient:
    """One connection with one session on channel 0."""

    def __init__(self, bus: BusThread, *, idle_timeout_ms: int | None = None, window: int = 1000) -> None:
        self._bus = bus
        self._frames = FrameBuffer(1 << 20)
        self._socket = socket.create_connection(("127.0.0.1", bus.server.port), timeout=5)
        self._incoming = self._read()
        self.send_raw(AMQP_HEADER)
        self.send(Open(container_id="bare", idle_timeout_ms=idle_timeout_ms))
        self.send(Begin(incoming_window=window, outgoing_window=1000))
        self.next_of(Begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.vanish()

    def vanish(self) -> None:
        """Drops the connection without a word."""
        self._socket.close()

    def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._socket.sendall(data)

    def send(self, frame: Performative, payload: bytes = b"", channel: int = 0) -> None:
        """Sends a frame."""
        self.send_raw(write_frame(FrameType.AMQP, channel, frame.encoded() + payload))

    def _read(self) -> Iterator[Performative | None]:
        """Yields what comes, None for a heartbeat, until the bus hangs up."""
        while data := self._socket.recv(1 << 16):
            for found in self._frames.feed(data):
                if isinstance(found, Frame):
                    yield read_performative(found.body)[0] if found.body else None

    def next_of[P: Performative](self, kind: type[P]) -> P:
        """The next frame of a kind; those before it are dropped."""
        for frame in self._incoming:
            if isinstance(frame, kind):
                return frame
        raise EOFError(f"the bus hung up before a {kind.__name__}")

    def next_heartbeat(self) -> None:
        """Waits for an empty frame."""
        for frame in self._incoming:
            if frame is None:
                return
        raise EOFError("the bus hung up before a heartbeat")

    def rest(self) -> list[Performative | None]:
        """What comes until the bus hangs up."""
        return list(self._incoming)

    def beat(self) -> None:
        """Sends a heartbeat."""
        self.send_raw(EMPTY_FRAME)

    def attach(
        self, handle: int, *, source: Value = None, target: Value = None, filters: dict[Value, Value] | None = None
    ) -> Attach:
        """Attaches a receiver, when a source is given, or a sender."""
        fields = [source, None, None, None, None, None, None, filters]
        frame = Attach(
            name=f"link-{handle}",
            handle=handle,
            role=source is not None,
            snd_settle_mode=0,
            rcv_settle_mode=1,
            source=Described(Ulong(SOURCE), fields),
            target=Described(Ulong(TARGET), [target]),
            initial_delivery_count=None if source is not None else 0,
        )
        self.send(frame)
        return self.next_of(Attach)

    def authorise(self) -> None:
        """Puts a token for the whole namespace."""
        text = self._bus.server.connection_string
        fields = dict(part.split("=", 1) for part in text.rstrip(";").split(";"))
        resource = f"sb://127.0.0.1:{self._bus.server.port}"
        token = _generate_sas_token(resource, fields["SharedAccessKeyName"], fields["SharedAccessKey"]).token
        self.attach(900, source="$cbs", target="me")
        self.send(Flow(next_incoming_id=0, incoming_window=1000, handle=900, delivery_count=0, link_credit=10))
        self.attach(901, target="$cbs")
        request = write_section(Section.PROPERTIES, encode(["id-1"])) + write_section(
            Section.APPLICATION_PROPERTIES, encode({"operation": "put-token"})
        )
        payload = request + write_section(Section.VALUE, encode(token))
        self.send(Transfer(handle=901, delivery_id=0, delivery_tag=b"0", settled=True), payload)
        self.next_of(Transfer)

    def grant(self, handle: int, credit: int, *, received: int = 0, drain: bool = False, window: int = 1000) -> None:
        """Gives a receiver credit. The reply to the token was transfer 0, so messages start at 1."""
        self.send(
            Flow(
                next_incoming_id=1 + received,
                incoming_window=window,
                handle=handle,
                delivery_count=received,
                link_credit=credit,
                drain=drain,
                echo=not drain,
            )
        )
