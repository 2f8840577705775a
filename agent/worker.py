"""The agent's one loop: stay connected, act upon the newest offer, install, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from agent.attention import Attention, Interrupted
from agent.backoff import Backoff, Patience
from agent.failure_log import FailureLogSender
from agent.inbox import Inbox
from agent.installer import Device, Installer
from agent.judging import Terms
from agent.memory import OfferId, become
from agent.notebook import Notebook
from agent.outbox import Outbox
from agent.ports import Clock, IndexClient, Journal, TwinChannel
from agent.reports import DEFAULT_STATES, Reporter
from agent.session import Session
from agent.taking import OfferTaker
from shared.domain.errors import MalformedMessage
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.wire.twins import read_offer

log = logging.getLogger(__name__)

_IDLE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the worker talks to."""

    channel: TwinChannel
    index: IndexClient
    journal: Journal
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the worker goes about it.

    Attributes:
        properties: The device's, which packages are judged against.
        zone: Where the device is, for windows in its own time.
        states: The states on the way that are reported.
        farewell_s: How long an unsent report may hold up a restart or the end of the process.
    """

    properties: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo = UTC
    states: frozenset[RolloutState] = DEFAULT_STATES
    hub_backoff: Backoff = field(default_factory=Backoff)
    index_patience: Patience = field(default_factory=lambda: Patience(attempts=5, give_up_after_s=600.0))
    download_patience: Patience = field(default_factory=Patience)
    farewell_s: float = 5.0


class Worker:
    """The agent. ``run`` returns when a stop was requested; a restart replaces the process instead.

    Where the hub no longer knows the device and it is assigned another id, ``run`` raises Reassigned, as if killed.
    """

    def __init__(
        self,
        device_id: DeviceId,
        outside: Outside,
        device: Device,
        manner: Manner,
        inbox: Inbox,
        *,
        failure_log: FailureLogSender | None = None,
    ) -> None:
        self._failure_log = failure_log
        self._device_id = device_id
        self._clock = outside.clock
        self._manner = manner
        self._inbox = inbox
        self._device = device
        self._notebook = notebook = Notebook(outside.journal)
        hardware = manner.properties.get("hardware", "")
        self._reporter = reporter = Reporter(device=device_id, states=manner.states, hardware=hardware)
        self._session = Session(outside.channel, inbox, outside.clock, manner.hub_backoff, hardware=hardware)
        self._outbox = Outbox(notebook, outside.channel, self._session, outside.clock, manner.hub_backoff)
        self._attention = Attention(device_id, inbox, self._session, self._outbox, outside.clock)
        self._installer = Installer(notebook, device, reporter, before_restart=self._say_farewell)
        terms = Terms(
            device_id=device_id,
            properties=manner.properties,
            zone=manner.zone,
            index_patience=manner.index_patience,
            download_patience=manner.download_patience,
        )
        self._taker = OfferTaker(
            terms, device, outside.index, outside.clock, notebook, reporter, self._attention, self._confirm
        )

    def judge(self) -> None:
        """Bring what is under way as far as it comes without the hub, such as a new slot's verdict."""
        self._installer.advance()

    def run(self) -> None:
        """Work until a stop is requested."""
        self.judge()
        self._notebook.write_or_hold(become(self._notebook.memory, self._device_id))
        self._correct()
        while not self._inbox.is_stopping:
            self._attention.attend()
            self._take_newest()
            self._outbox.flush()
            self._send_failure_log()
            self._inbox.wait(self._idle_s())
        self._say_farewell()

    def _send_failure_log(self) -> None:
        """Only with nothing newer to do, and with what the twin now holds: its ticket may be a fresher one."""
        desired = self._session.desired
        if self._failure_log is None or desired is None or self._attention.is_news:
            return
        with suppress(MalformedMessage):
            self._failure_log.send_if_failed(self._notebook.memory, read_offer(self._device_id, desired))

    def _confirm(self, offer: OfferId) -> None:
        self._installer.confirmed = offer

    def _correct(self) -> None:
        slots = self._device.slots
        self._notebook.write_or_hold(self._reporter.correct(self._notebook.memory, slots.installed(slots.active())))

    def _take_newest(self) -> None:
        """Act upon the newest desired properties, unless they have been acted upon."""
        desired, version = self._session.desired, self._session.version
        if desired is None or not self._attention.is_news or self._inbox.is_stopping:
            return
        self._attention.handled = self._session.mark
        try:
            self._taker.take(read_offer(self._device_id, desired), version)
        except MalformedMessage as error:
            log.warning("%s", error.message)
        except Interrupted:
            self._attention.handled = None
        self._outbox.flush()
        self._installer.advance()
        if self._installer.has_lost_content:
            self._attention.handled, self._installer.has_lost_content = None, False

    def _idle_s(self) -> float:
        """How long nothing needs doing, unless an event comes."""
        if self._attention.is_news:
            return 0.0
        due_s = [self._session.retry_at_s] if self._session.retry_at_s > 0 else []
        if self._session.is_open and self._outbox.due_at_s is not None:
            due_s.append(self._outbox.due_at_s)
        now_s = self._clock.monotonic_s()
        return max(0.0, min([_IDLE_S, *(moment - now_s for moment in due_s)]))

    def _say_farewell(self) -> None:
        self._attention.linger(self._manner.farewell_s)
        self._session.close()
