"""What follows for everybody from how the hub took a batch: the shared rate (invariant I6)."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.domain.pacing import Budget, slow_down, speed_up
from shared.handlers.contention import until_written
from shared.ports.campaigns import BudgetStore
from shared.ports.errors import ConcurrentChange
from shared.ports.hub import TwinOutcome, TwinResult
from shared.ports.stored import Stored
from shared.telemetry.signals import Signal, emit

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 300.0
_LATER = frozenset({TwinOutcome.THROTTLED, TwinOutcome.UNAVAILABLE})


def adjust_rate(budget: BudgetStore, results: Sequence[TwinResult], *, now: datetime) -> None:
    """Lower the rate for everybody where the hub throttled, raise it where it took all."""
    outcomes = {result.outcome for result in results}
    if TwinOutcome.THROTTLED in outcomes:
        _tell_throttled(results)
        adjust = slow_down
    elif outcomes == {TwinOutcome.WRITTEN}:
        adjust = speed_up
    else:
        return

    def attempt() -> None:
        before: Stored[Budget] = budget.get()
        after = adjust(before.value, now=now)
        if after != before.value:
            budget.save(Stored(value=after, etag=before.etag))

    # Whoever keeps writing the row adjusts it as well: this adjustment is not worth failing for.
    with contextlib.suppress(ConcurrentChange):
        until_written(attempt, what="the budget")


def _tell_throttled(results: Sequence[TwinResult]) -> None:
    calls = sum(result.outcome is TwinOutcome.THROTTLED for result in results)
    message = f"the hub asks for fewer calls: {calls} of {len(results)} twins are written later"
    emit(log, Signal.THROTTLED, message, level=logging.WARNING, service="iot-hub", calls=calls)


def wants_retry(results: Sequence[TwinResult]) -> bool:
    """Whether some twins are to be written later."""
    return any(result.outcome in _LATER for result in results)


def retry_at(retry: int, *, now: datetime) -> datetime:
    """When work that the hub had no room for goes out again: later each time, and never all of it together."""
    longest_s = min(_FIRST_RETRY_S * 2 ** min(retry, 10), _LAST_RETRY_S)
    return now + timedelta(seconds=random.uniform(longest_s / 2, longest_s))
