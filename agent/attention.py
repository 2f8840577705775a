"""Looking up from long work: events are taken, reports sent, and the work is broken off when it has lost its reason."""

from __future__ import annotations

from agent.decisions import is_superseded
from agent.inbox import Inbox
from agent.outbox import Outbox
from agent.ports import Clock
from agent.session import Session
from shared.domain.errors import MalformedMessage
from shared.domain.ids import DeviceId
from shared.domain.offers import Offer
from shared.wire.twins import read_offer

_GLANCE_S = 1.0


class Interrupted(Exception):
    """The work in hand has lost its reason, or the process shall end."""


class Attention:
    """What the worker does between pieces of work.

    Attributes:
        handled: ``Session.mark`` of the desired properties that were acted upon; None: act upon what stands now.
    """

    def __init__(self, device: DeviceId, inbox: Inbox, session: Session, outbox: Outbox, clock: Clock) -> None:
        self._device = device
        self._inbox = inbox
        self._session = session
        self._outbox = outbox
        self._clock = clock
        self.handled: tuple[int, object] | None = None

    @property
    def is_news(self) -> bool:
        """Whether there are desired properties nobody acted upon."""
        return self._session.desired is not None and self._session.mark != self.handled

    def attend(self) -> None:
        """Take events, keep the session open, send what is due."""
        for event in self._inbox.take_all():
            self._session.apply(event)
        self._session.keep_open()
        self._outbox.flush()

    def look_up_from(self, offer: Offer) -> None:
        """Attend, and see whether the offer still stands.

        Raises:
            Interrupted: It does not, or the process shall end.
        """
        self.attend()
        if self._inbox.is_stopping:
            raise Interrupted
        if not self.is_news or self._session.desired is None:
            return
        try:
            newest = read_offer(self._device, self._session.desired)
        except MalformedMessage:
            return
        if is_superseded(offer, newest):
            raise Interrupted
        self.handled = self._session.mark

    def sleep(self, offer: Offer, seconds: float) -> None:
        """Wait that long, looking up all the while.

        Raises:
            Interrupted: As ``look_up_from``.
        """
        end_s = self._clock.monotonic_s() + seconds
        while (left_s := end_s - self._clock.monotonic_s()) > 0:
            self.look_up_from(offer)
            self._inbox.wait(min(left_s, _GLANCE_S))
        self.look_up_from(offer)

    def linger(self, longest_s: float) -> None:
        """Give what is unsent a last chance; it is kept if that fails."""
        end_s = self._clock.monotonic_s() + longest_s
        while self._session.is_open and self._outbox.due_at_s is not None and self._clock.monotonic_s() < end_s:
            self._inbox.wait(max(0.0, min(end_s, self._outbox.due_at_s) - self._clock.monotonic_s()))
            self.attend()
