"""Taking an offer: judge it, fetch the package, hand over to the installer; every way out leaves a report."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.attention import Attention
from agent.backoff import Patience
from agent.codes import MEANINGS, Code
from agent.decisions import AlreadyRuns, Approved, DeviceFacts, IndexView, Notice, Refused, judge_offer, weigh_notice
from agent.fetching import Fetcher, Waiting
from agent.install.registry import ready_kinds
from agent.installer import Device
from agent.memory import End, OfferId, Phase, begin, enter, note_answer, withdraw
from agent.notebook import Notebook
from agent.ports import (
    Clock,
    IndexClient,
    IndexRefused,
    IndexUnavailable,
    TransferCancelled,
    TransferRefused,
    Wanted,
)
from agent.reports import Reporter
from shared.domain.ids import DeviceId
from shared.domain.offers import Offer
from shared.domain.rollouts import RolloutState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What offers are judged and fetched by.

    Attributes:
        properties: The device's, such as ``hardware``.
    """

    device_id: DeviceId
    properties: Mapping[str, str]
    index_patience: Patience
    download_patience: Patience


class OfferTaker:
    """Acts upon desired properties until a package is ready to install, or there is nothing to do."""

    def __init__(
        self,
        terms: Terms,
        device: Device,
        index: IndexClient,
        clock: Clock,
        notebook: Notebook,
        reporter: Reporter,
        attention: Attention,
        confirm: Callable[[OfferId], None],
    ) -> None:
        self._terms = terms
        self._device = device
        self._index = index
        self._clock = clock
        self._notebook = notebook
        self._reporter = reporter
        self._attention = attention
        self._confirm = confirm

    def take(self, offer: Offer | None, version: int) -> None:
        """Act upon the desired properties of that ``$version``; None where they hold no offer.

        Raises:
            Interrupted: Something newer wants to be acted upon.
        """
        notice = weigh_notice(self._notebook.memory, offer, desired_version=version)
        log.debug("desired version %d: %s", version, notice.value)
        if notice is Notice.WITHDRAW:
            self._drop()
        elif notice is Notice.RESUME:
            self._resume(version)
        elif notice is Notice.ANSWER_AGAIN and self._notebook.memory.end is not None:
            self._answer(self._notebook.memory.end, version)
        elif notice is Notice.CONSIDER and offer is not None:
            self._consider(offer, version)

    def _resume(self, version: int) -> None:
        """Let an install of an earlier life go on, or end it where its intent expired meanwhile."""
        pending = self._notebook.memory.pending
        if pending is None:
            return
        if pending.expires and self._clock.now() >= datetime.fromisoformat(pending.expires):
            code, detail = Code.INTENT_EXPIRED, f"the intent expired at {pending.expires}, before it was installed"
            self._end(End(offer=pending.offer, state=MEANINGS[code][0], code=code.value, detail=detail), version)
        else:
            self._confirm(pending.offer)

    def _consider(self, offer: Offer, version: int) -> None:
        match self._judge(offer):
            case Refused() as refused:
                self._refuse(offer, refused, version)
            case AlreadyRuns():
                self._end(End(offer=OfferId.of(offer), state=RolloutState.SUCCEEDED), version)
            case Approved() as approved:
                self._begin(offer, approved)
                self._fetch(offer, approved, version)

    def _judge(self, offer: Offer) -> Approved | AlreadyRuns | Refused:
        try:
            index = self._look_up(offer)
        except IndexRefused as error:
            return Refused(code=Code.INDEX_REFUSED, detail=str(error), is_authentic=False)
        except IndexUnavailable as error:
            return Refused(code=Code.INDEX_UNAVAILABLE, detail=str(error), is_authentic=False)
        return judge_offer(offer, index, self._facts(), now=self._clock.now())

    def _look_up(self, offer: Offer) -> IndexView:
        patience = self._terms.index_patience
        started_s, failures = self._clock.monotonic_s(), 0
        while True:
            try:
                return self._index.look_up(offer.path)
            except IndexUnavailable:
                failures += 1
                if patience.is_exhausted(failures, self._clock.monotonic_s() - started_s):
                    raise
            self._attention.sleep(offer, patience.backoff.wait_s(failures, random.random()))

    def _begin(self, offer: Offer, approved: Approved) -> None:
        slots = self._device.slots
        memory = begin(
            self._notebook.memory,
            offer,
            approved.package,
            slots=(slots.active(), slots.inactive()),
            expires=approved.expires.isoformat(),
        )
        if memory is not self._notebook.memory:
            memory = self._reporter.progress(memory, RolloutState.DOWNLOADING, self._facts().installed)
        self._notebook.write(memory)

    def _fetch(self, offer: Offer, approved: Approved, version: int) -> None:
        try:
            self._fetcher(offer, approved).fetch(_wanted(offer, approved))
            self._attention.look_up_from(offer)
        except TransferCancelled:
            self._drop()
        except TransferRefused as error:
            self._device.transfer.discard_all()
            self._end(_end_of(offer, error.code, error.detail), version)
        else:
            memory = note_answer(enter(self._notebook.memory, Phase.INSTALLING), offer.sequence, version)
            self._confirm(OfferId.of(offer))
            self._notebook.write(self._reporter.progress(memory, RolloutState.INSTALLING, self._facts().installed))

    def _fetcher(self, offer: Offer, approved: Approved) -> Fetcher:
        waiting = Waiting(
            clock=self._clock,
            checkpoint=lambda: self._attention.look_up_from(offer),
            sleep=lambda seconds: self._attention.sleep(offer, seconds),
        )
        return Fetcher(self._device.transfer, waiting, self._terms.download_patience, expires=approved.expires)

    def _facts(self) -> DeviceFacts:
        return DeviceFacts(
            device=self._terms.device_id,
            properties=self._terms.properties,
            installed=self._device.slots.installed(self._device.slots.active()),
            kinds=ready_kinds(self._device.handlers),
        )

    def _drop(self) -> None:
        log.info("the offer was taken back")
        self._notebook.write(withdraw(self._notebook.memory))

    def _refuse(self, offer: Offer, refused: Refused, version: int) -> None:
        end = _end_of(offer, refused.code, refused.detail)
        log.warning("%s: %s: %s", end.state.value, refused.code.value, refused.detail)
        if refused.is_authentic:
            self._end(end, version)
        else:
            # Whoever forged it must not stop genuine offers by it: nothing of it is remembered but the answer.
            self._answer(end, version)

    def _end(self, end: End, version: int) -> None:
        ended = self._reporter.end(self._notebook.memory, end, self._facts().installed)
        self._notebook.write(note_answer(ended, end.offer.sequence, version))

    def _answer(self, end: End, version: int) -> None:
        answered = self._reporter.answer(self._notebook.memory, end, self._facts().installed)
        self._notebook.write(note_answer(answered, end.offer.sequence, version))


def _wanted(offer: Offer, approved: Approved) -> Wanted:
    package = approved.package
    return Wanted(path=package.path, length_bytes=package.length_bytes, sha256=package.sha256, ticket=offer.ticket)


def _end_of(offer: Offer, code: Code, detail: str) -> End:
    return End(offer=OfferId.of(offer), state=MEANINGS[code][0], code=code.value, detail=detail)
