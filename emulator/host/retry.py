"""`@app.retry`: how often and how soon a failed execution is tried again in process.

Azure applies it to Event Hubs and timer triggers (and Cosmos DB, Kafka), and to no others
(azure-functions/functions-bindings-error-pages).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

UNBOUNDED = -1
_SHORTEST_BACKOFF_S = 0.1  # a policy without a minimum must not spin


class RetryStrategy(StrEnum):
    FIXED_DELAY = "fixed_delay"
    EXPONENTIAL_BACKOFF = "exponential_backoff"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A function's retry policy.

    Attributes:
        max_retry_count: retries after the first execution; -1 for no bound.
        shortest: the fixed delay, or the first exponential one.
        longest: the cap of exponential delays.
    """

    strategy: RetryStrategy
    max_retry_count: int
    shortest: timedelta
    longest: timedelta

    def allows(self, retry_count: int) -> bool:
        """Whether retry number `retry_count` (from 1) may run."""
        return self.max_retry_count == UNBOUNDED or retry_count <= self.max_retry_count

    def delays_s(self, rng: random.Random) -> Iterator[float]:
        """Seconds to wait before each retry; exponential ones double and vary by a fifth either way."""
        wanted_s = self.shortest.total_seconds()
        while self.strategy is RetryStrategy.FIXED_DELAY:
            yield wanted_s
        wanted_s = max(wanted_s, _SHORTEST_BACKOFF_S)
        while True:
            yield min(wanted_s * rng.uniform(0.8, 1.2), self.longest.total_seconds())
            wanted_s = min(wanted_s * 2, self.longest.total_seconds())
