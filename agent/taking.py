"""Taking an offer: judge it, fetch the package, hand over to the installer; every way out leaves a report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from agent.attention import Attention
from agent.codes import MEANINGS, Code
from agent.decisions import AlreadyRuns, Approved, Notice, Refused, weigh_notice
from agent.fetching import Fetcher, Waiting
from agent.installer import Device
from agent.judging import OfferJudge, Terms
from agent.memory import End, OfferId, Phase, begin, enter, note_answer, withdraw
from agent.notebook import Notebook
from agent.ports import (
    Clock,
    IndexClient,
    TransferCancelled,
    TransferRefused,
    Wanted,
)
from agent.reports import Reporter
from shared.domain.offers import Offer
from shared.domain.rollouts import RolloutState
from shared.trust.intents import read_windows, write_windows

log = logging.getLogger(__name__)

_NEVER = datetime.max.replace(tzinfo=UTC)


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
        self._clock = clock
        self._judge = OfferJudge(terms, device, index, clock, attention)
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
        elif notice is Notice.RESUME and offer is not None:
            self._resume(offer, version)
        elif notice is Notice.ANSWER_AGAIN and self._notebook.memory.end is not None:
            self._answer(self._notebook.memory.end, version)
        elif notice is Notice.CONSIDER and offer is not None:
            self._consider(offer, version)

    def _resume(self, offer: Offer, version: int) -> None:
        """Let an install of an earlier life go on, or end it where it is no longer allowed."""
        pending = self._notebook.memory.pending
        if pending is None:
            return
        expires = datetime.fromisoformat(pending.expires) if pending.expires else _NEVER
        try:
            if (refused := self._judge.judge_again(offer)) is not None:
                raise TransferRefused(refused.code, refused.detail)
            self._judge.await_window(offer, read_windows(pending.windows), expires)
        except TransferRefused as error:
            self._end(_end_of(offer, error.code, error.detail), version)
        else:
            self._confirm(pending.offer)

    def _consider(self, offer: Offer, version: int) -> None:
        match self._judge.judge(offer):
            case Refused() as refused:
                self._refuse(offer, refused, version)
            case AlreadyRuns():
                self._end(End(offer=OfferId.of(offer), state=RolloutState.SUCCEEDED), version)
            case Approved() as approved:
                self._begin(offer, approved)
                self._fetch(offer, approved, version)

    def _begin(self, offer: Offer, approved: Approved) -> None:
        slots = self._device.slots
        memory = begin(
            self._notebook.memory,
            offer,
            approved.package,
            slots=(slots.active(), slots.inactive()),
            expires=approved.expires.isoformat(),
            windows=tuple(write_windows(approved.windows)),
        )
        if memory is not self._notebook.memory:
            memory = self._reporter.progress(memory, RolloutState.DOWNLOADING, self._judge.facts().installed)
        self._notebook.write(memory)

    def _fetch(self, offer: Offer, approved: Approved, version: int) -> None:
        judged_s = self._clock.monotonic_s()
        try:
            self._fetcher(offer, approved).fetch(_wanted(offer, approved))
            self._judge.await_window(offer, approved.windows, approved.expires)
            self._judge.check_again(offer, judged_s)
            self._attention.look_up_from(offer)
        except TransferCancelled:
            self._drop()
        except TransferRefused as error:
            self._device.transfer.discard_all()
            self._end(_end_of(offer, error.code, error.detail), version)
        else:
            memory = note_answer(enter(self._notebook.memory, Phase.INSTALLING), offer.sequence, version)
            self._confirm(OfferId.of(offer))
            self._notebook.write(
                self._reporter.progress(memory, RolloutState.INSTALLING, self._judge.facts().installed)
            )

    def _fetcher(self, offer: Offer, approved: Approved) -> Fetcher:
        waiting = Waiting(
            clock=self._clock,
            checkpoint=lambda: self._attention.look_up_from(offer),
            sleep=lambda seconds: self._attention.sleep(offer, seconds),
        )
        return Fetcher(self._device.transfer, waiting, self._terms.download_patience, expires=approved.expires)

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
        ended = self._reporter.end(self._notebook.memory, end, self._judge.facts().installed)
        self._notebook.write(note_answer(ended, end.offer.sequence, version))

    def _answer(self, end: End, version: int) -> None:
        answered = self._reporter.answer(self._notebook.memory, end, self._judge.facts().installed)
        self._notebook.write(note_answer(answered, end.offer.sequence, version))


def _wanted(offer: Offer, approved: Approved) -> Wanted:
    package = approved.package
    return Wanted(path=package.path, length_bytes=package.length_bytes, sha256=package.sha256, ticket=offer.ticket)


def _end_of(offer: Offer, code: Code, detail: str) -> End:
    return End(offer=OfferId.of(offer), state=MEANINGS[code][0], code=code.value, detail=detail)
