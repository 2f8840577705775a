"""Fetching a package with patience: again and again, until it is there or there is no point any more."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent.backoff import Patience
from agent.codes import Code
from agent.ports import Clock, Transfer, TransferBroken, TransferPaused, TransferRefused, Wanted

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 3600.0
"""No ``Retry-After`` is believed beyond this, so that one wrong header does not silence a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How the fetcher spends time: ``checkpoint`` and ``sleep`` may raise to break the download off."""

    clock: Clock
    checkpoint: Callable[[], None]
    sleep: Callable[[float], None]


class Fetcher:
    """One package's download.

    Attributes:
        expires: When the intent ends; fetching beyond it is pointless.
    """

    def __init__(self, transfer: Transfer, waiting: Waiting, patience: Patience, *, expires: datetime) -> None:
        self._transfer = transfer
        self._waiting = waiting
        self._patience = patience
        self._expires = expires
        self._told_to_wait_s = 0.0
        self._failures = 0

    def fetch(self, wanted: Wanted) -> None:
        """Return once the content is there.

        Raises:
            TransferRefused: It cannot be had, or patience has run out.
            TransferCancelled: The offer no longer stands.
        """
        started_s = self._waiting.clock.monotonic_s()
        while True:
            try:
                return self._transfer.attempt(wanted, lambda: self._look_up_from_work(started_s))
            except TransferPaused as pause:
                self._pause(min(pause.retry_after_s, LONGEST_PAUSE_S))
            except TransferBroken as error:
                self._back_off(error, started_s)
            self._check_expiry()

    def _look_up_from_work(self, started_s: float) -> None:
        self._waiting.checkpoint()
        if self._spent_s(started_s) >= self._patience.give_up_after_s:
            raise TransferRefused(Code.DOWNLOAD_FAILED, f"not complete after {self._patience.give_up_after_s:g} s")

    def _pause(self, told_s: float) -> None:
        self._told_to_wait_s += told_s
        log.info("the service asks to wait %.0f s", told_s)
        # Everybody was told the same number; a spread keeps them from coming back in one second.
        self._waiting.sleep(told_s * (1 + 0.2 * random.random()))

    def _back_off(self, error: TransferBroken, started_s: float) -> None:
        self._failures += 1
        if self._patience.is_exhausted(self._failures, self._spent_s(started_s)):
            raise TransferRefused(Code.DOWNLOAD_FAILED, f"gave up after {self._failures} attempts: {error}") from error
        wait_s = self._patience.backoff.wait_s(self._failures, random.random())
        log.info("download broke off (%s), again in %.1f s", error, wait_s)
        self._waiting.sleep(wait_s)

    def _check_expiry(self) -> None:
        if self._waiting.clock.now() >= self._expires:
            raise TransferRefused(Code.INTENT_EXPIRED, f"the intent expired at {self._expires.isoformat()}")

    def _spent_s(self, started_s: float) -> float:
        return self._waiting.clock.monotonic_s() - started_s - self._told_to_wait_s
