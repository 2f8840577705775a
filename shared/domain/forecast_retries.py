"""What further attempts would come on top of a forecast, at a share of failures that is assumed and said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.domain.forecast import HUB_MESSAGES_PER_DEVICE, ForecastInputs, Usage, slots_s
from shared.domain.retries import Retries

ASSUMED_FAILURE_PERCENT = 5.0
"""Nobody knows beforehand; the figures grow with it about in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryForecast:
    """What retries add if so many of all attempts fail in a way that is tried again; in no other figure of the plan.

    Attributes:
        offers: Further offers, all attempts together.
        dispatch_s: How long their time slots take, under the hub's throttle and the campaign's own pace.
        longest_s: How long a device that fails each time waits between its attempts in all, the jitter included.
    """

    assumed_failure_percent: float
    offers: int
    dispatch_s: float
    hub_messages: int
    egress_bytes: int
    longest_s: float


def forecast_retries(policy: Retries, usage: Usage, inputs: ForecastInputs) -> RetryForecast | None:
    """The forecast; None where nothing is tried again."""
    if policy.maximum == 0:
        return None
    share = ASSUMED_FAILURE_PERCENT / 100
    offers = math.ceil(usage.twin_writes * sum(share**attempt for attempt in range(1, policy.maximum + 1)))
    waits = (min(policy.longest_s, policy.backoff_s * policy.factor**attempt) for attempt in range(policy.maximum))
    return RetryForecast(
        assumed_failure_percent=ASSUMED_FAILURE_PERCENT,
        offers=offers,
        dispatch_s=slots_s(offers, usage.twin_writes, inputs),
        hub_messages=offers * HUB_MESSAGES_PER_DEVICE,
        egress_bytes=round(offers * usage.egress_bytes / max(1, usage.twin_writes)),
        longest_s=sum(waits) * (1 + policy.jitter),
    )
