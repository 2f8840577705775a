"""One AMQP session: windows, handles, deliveries on their way (part 2, section 2.5)."""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from emulator.bus.amqp.outcomes import write_error
from emulator.bus.amqp.performatives import (
    Attach,
    Begin,
    Detach,
    Disposition,
    End,
    Flow,
    Performative,
    Transfer,
)
from emulator.bus.amqp.types import Value
from emulator.bus.errors import BusError, Condition

_WINDOW = 0x7FFFFFFF  # incoming frames; link credit is what holds a client back
_FRAME_OVERHEAD = 128  # more than any header and transfer performative we write


class Peer(Protocol):
    """The connection a session lives on."""

    def write(self, channel: int, frame: Performative, payload: bytes = b"") -> None:
        """Sends one frame."""

    def frame_limit(self) -> int:
        """The largest frame, in bytes, that the peer takes."""

    def is_writable(self) -> bool:
        """Whether the peer keeps up with what is sent."""


class Departure(StrEnum):
    """How a link came to its end."""

    CLEAN = "clean"
    VANISHED = "vanished"


class Link(Protocol):
    """One end of a link, ours."""

    def on_flow(self, flow: Flow) -> None:
        """The client changed credit or asks for an answer."""

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A piece of a message came."""

    def close(self, departure: Departure, /) -> None:
        """The link is gone: the client said so, or it vanished."""


type Settle = Callable[[Value], Value]
"""Takes a receiver's delivery state and returns the state to confirm."""


class Session:
    """Our end of a session.

    Attributes:
        links: by the client's handle; we use the same number as our own handle.
    """

    def __init__(self, peer: Peer, channel: int, begin: Begin) -> None:
        self.links: dict[int, Link] = {}
        self._peer = peer
        self._channel = channel
        self._detaching: set[int] = set()
        self._next_incoming_id = begin.next_outgoing_id
        self._peer_window = begin.incoming_window
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._outbox: deque[tuple[Transfer, bytes]] = deque()
        self._unsettled: dict[int, tuple[int, Settle]] = {}
        answer = Begin(remote_channel=channel, incoming_window=_WINDOW, outgoing_window=_WINDOW)
        self.write(answer)

    @property
    def peer(self) -> Peer:
        """The connection it lives on."""
        return self._peer

    def write(self, frame: Performative) -> None:
        """Sends a frame on the session's channel."""
        self._peer.write(self._channel, frame)

    def is_writable(self) -> bool:
        """Whether a transfer would leave at once."""
        return not self._outbox and self._peer_window > 0 and self._peer.is_writable()

    def attach(self, attach: Attach, open_link: Callable[["Session", Attach], Link]) -> None:
        """Opens a link for the client's attach.

        Raises:
            BusError: `amqp:session:handle-in-use`.
        """
        if attach.handle in self.links:
            raise BusError(Condition.HANDLE_IN_USE, f"handle {attach.handle} is attached already")
        self._detaching.discard(attach.handle)
        try:
            self.links[attach.handle] = open_link(self, attach)
        except BusError as error:
            self.refuse(attach, error)

    def refuse(self, attach: Attach, error: BusError) -> None:
        """Answers an attach and detaches at once.

        No source and no target tell the client not to use the link yet (part 2, section 2.6.3). Were they echoed, the
        Python SDK would take the link for open, and raise the error at the first use or not at all.
        """
        self.confirm(attach, properties={}, source=None, target=None)
        self.detach(attach.handle, error)

    def confirm(self, attach: Attach, **fields: Value) -> None:
        """Answers an attach with its own terms, the given fields changed."""
        answer = Attach(
            name=attach.name,
            handle=attach.handle,
            role=not attach.role,
            snd_settle_mode=attach.snd_settle_mode,
            rcv_settle_mode=attach.rcv_settle_mode,
            source=attach.source,
            target=attach.target,
            initial_delivery_count=0 if attach.role else None,
        )
        for name, value in fields.items():
            setattr(answer, name, value)
        self.write(answer)

    def detach(self, handle: int, error: BusError) -> None:
        """Ends a link from our side; what the client still sends on it is ignored until it confirms."""
        self._drop(handle, Departure.CLEAN)
        self._detaching.add(handle)
        self.write(Detach(handle=handle, closed=True, error=write_error(error)))

    def _drop(self, handle: int, departure: Departure) -> None:
        self._unsettled = {number: entry for number, entry in self._unsettled.items() if entry[0] != handle}
        link = self.links.pop(handle, None)
        if link is not None:
            link.close(departure)

    def on_detach(self, detach: Detach) -> None:
        """The client ends a link, or confirms that we did."""
        if detach.handle in self._detaching:
            self._detaching.discard(detach.handle)
        elif detach.handle in self.links:
            self._drop(detach.handle, Departure.CLEAN)
            self.write(Detach(handle=detach.handle, closed=True))

    def on_flow(self, flow: Flow) -> None:
        """Takes the client's windows and, with a handle, passes the flow to the link.

        Raises:
            BusError: `amqp:session:unattached-handle`.
        """
        seen = 0 if flow.next_incoming_id is None else flow.next_incoming_id
        self._peer_window = seen + flow.incoming_window - self._next_outgoing_id
        self._flush()
        if flow.handle is None:
            if flow.echo:
                self.send_flow()
            return
        link = self._find(flow.handle)
        if link is not None:
            link.on_flow(flow)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Counts a transfer and passes it to its link.

        Raises:
            BusError: `amqp:session:unattached-handle`.
        """
        self._next_incoming_id += 1
        link = self._find(transfer.handle)
        if link is not None:
            link.on_transfer(transfer, payload)

    def _find(self, handle: int) -> Link | None:
        link = self.links.get(handle)
        if link is None and handle not in self._detaching:
            raise BusError(Condition.UNATTACHED_HANDLE, f"no link is attached to handle {handle}")
        return link

    def on_disposition(self, disposition: Disposition) -> None:
        """Settles the deliveries of ours the client names, and confirms what it wants confirmed."""
        if not disposition.role:
            return
        last = disposition.first if disposition.last is None else disposition.last
        for number in self._unsettled_between(disposition.first, last):
            _, settle = self._unsettled.pop(number)
            state = settle(disposition.state)
            if not disposition.settled:
                self.write(Disposition(role=False, first=number, last=number, settled=True, state=state))

    def _unsettled_between(self, first: int, last: int) -> list[int]:
        """Of a range the client names freely, the deliveries there are."""
        if last - first < len(self._unsettled):
            return [number for number in range(first, last + 1) if number in self._unsettled]
        return [number for number in self._unsettled if first <= number <= last]

    def send_flow(self, **fields: Value) -> None:
        """Sends our windows, with a link's fields if given."""
        self.write(
            Flow(
                next_incoming_id=self._next_incoming_id,
                incoming_window=_WINDOW,
                next_outgoing_id=self._next_outgoing_id,
                outgoing_window=_WINDOW,
                **fields,
            )
        )

    def send_message(self, handle: int, tag: bytes, payload: bytes, settle: Settle | None) -> None:
        """Sends a message in as many frames as it takes; `settle` None sends it settled."""
        number = self._next_delivery_id
        self._next_delivery_id += 1
        if settle is not None:
            self._unsettled[number] = (handle, settle)
        room = self._peer.frame_limit() - _FRAME_OVERHEAD
        for start in range(0, len(payload), room):
            piece = payload[start : start + room]
            frame = Transfer(
                handle=handle,
                delivery_id=number,
                delivery_tag=tag,
                message_format=0,
                settled=settle is None,
                more=start + room < len(payload),
            )
            self._outbox.append((frame, piece))
        self._flush()

    def _flush(self) -> None:
        while self._outbox and self._peer_window > 0:
            frame, piece = self._outbox.popleft()
            self._peer_window -= 1
            self._next_outgoing_id += 1
            self._peer.write(self._channel, frame, piece)

    def end(self, departure: Departure) -> None:
        """Drops every link."""
        for handle in list(self.links):
            self._drop(handle, departure)

    def on_end(self) -> None:
        """The client ends the session."""
        self.end(Departure.CLEAN)
        self.write(End())
