"""Judging an offer, as often as it takes: by the index, by the clock, and by the window it may be installed in."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from agent.attention import Attention
from agent.backoff import Patience
from agent.codes import Code
from agent.decisions import AlreadyRuns, Approved, DeviceFacts, IndexView, Refused, judge_offer
from agent.install.registry import ready_kinds
from agent.installer import Device
from agent.ports import Clock, IndexClient, IndexRefused, IndexUnavailable, TransferRefused
from shared.domain.ids import DeviceId
from shared.domain.offers import Offer
from shared.domain.windows import Window, next_opening

log = logging.getLogger(__name__)

MAX_REFUSALS = 3

FRESH_S = 60.0
"""What was judged longer ago is judged again before it is installed: the download, or the window, may take days."""

LONGEST_LOOK_AWAY_S = 3_600.0
"""A window waited for is looked at this often, because somebody may set the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What offers are judged and fetched by.

    Attributes:
        properties: The device's, such as ``hardware``.
        zone: Where the device is, for windows in its own time.
    """

    device_id: DeviceId
    properties: Mapping[str, str]
    zone: tzinfo
    index_patience: Patience
    download_patience: Patience


class OfferJudge:
    """Says what may be done about an offer, and when."""

    def __init__(self, terms: Terms, device: Device, index: IndexClient, clock: Clock, attention: Attention) -> None:
        self._terms = terms
        self._device = device
        self._index = index
        self._clock = clock
        self._attention = attention

    def facts(self) -> DeviceFacts:
        """What a package is judged against now."""
        return DeviceFacts(
            device=self._terms.device_id,
            properties=self._terms.properties,
            installed=self._device.slots.installed(self._device.slots.active()),
            kinds=ready_kinds(self._device.handlers),
        )

    def judge(self, offer: Offer) -> Approved | AlreadyRuns | Refused:
        """The verdict over an offer, once the index has been had.

        Raises:
            Interrupted: Something newer wants to be acted upon.
        """
        try:
            index = self._look_up(offer)
        except IndexRefused as error:
            return Refused(code=Code.INDEX_REFUSED, detail=str(error), is_authentic=False)
        except IndexUnavailable as error:
            return Refused(code=Code.INDEX_UNAVAILABLE, detail=str(error), is_authentic=False)
        return judge_offer(offer, index, self.facts(), now=self._clock.now())

    def judge_again(self, offer: Offer) -> Refused | None:
        """Why the offer must no longer be acted upon; what was verified before stands while the index is away."""
        try:
            index = self._index.look_up(offer.path)
        except (IndexUnavailable, IndexRefused) as error:
            log.info("the index cannot be asked again: %s", error)
            return None
        judgement = judge_offer(offer, index, self.facts(), now=self._clock.now())
        return judgement if isinstance(judgement, Refused) else None

    def check_again(self, offer: Offer, judged_s: float) -> None:
        """Return if what was judged a while ago may still be installed.

        Raises:
            TransferRefused: The package was withdrawn meanwhile, or its publisher is believed no more.
        """
        if self._clock.monotonic_s() - judged_s < FRESH_S:
            return
        if (refused := self.judge_again(offer)) is not None:
            raise TransferRefused(refused.code, refused.detail)

    def await_window(self, offer: Offer, windows: Sequence[Window], expires: datetime) -> None:
        """Return once a window is open.

        Raises:
            TransferRefused: None opens before the intent expires, or it has expired.
            Interrupted: Something newer wants to be acted upon.
        """
        while True:
            now = self._clock.now()
            if now >= expires:
                raise TransferRefused(Code.INTENT_EXPIRED, f"the intent expired at {expires.isoformat()}")
            opening = next_opening(windows, now, device_zone=self._terms.zone)
            if opening is None or opening >= expires:
                raise TransferRefused(
                    Code.INTENT_EXPIRED, f"no window opens before the intent expires at {expires.isoformat()}"
                )
            if opening <= now:
                return
            log.info("waiting for the window that opens at %s", opening.isoformat())
            self._attention.sleep(offer, min((opening - now).total_seconds(), LONGEST_LOOK_AWAY_S))

    def _look_up(self, offer: Offer) -> IndexView:
        """The index's word, waited for; an index that must not be believed is looked at three times.

        While owners replace a key, or a cache serves an old file beside a new one, there are seconds in which the
        parts of a genuine index do not fit together.
        """
        patience = self._terms.index_patience
        started_s, failures, refusals = self._clock.monotonic_s(), 0, 0
        while True:
            asked_s = 0.0
            failures += 1
            try:
                return self._index.look_up(offer.path)
            except IndexRefused:
                refusals += 1
                if refusals >= MAX_REFUSALS:
                    raise
            except IndexUnavailable as error:
                if patience.is_exhausted(failures, self._clock.monotonic_s() - started_s):
                    raise
                asked_s = error.retry_after_s
            self._attention.sleep(offer, max(asked_s, patience.backoff.wait_s(failures, random.random())))
