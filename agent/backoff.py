"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waits with full jitter, so that a fleet cut off together does not come back together.

    Attributes:
        initial_s: Upper bound of the first wait.
        longest_s: Upper bound of every wait.
    """

    initial_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, failures: int, luck: float) -> float:
        """Seconds to wait after so many failures in a row (from 1); ``luck`` is drawn evenly from 0 to 1.

        Never less than a tenth of the bound, so that no unlucky draw becomes a busy loop.
        """
        bound = min(self.longest_s, self.initial_s * 2.0 ** min(failures - 1, 30))
        return float(bound * (0.1 + 0.9 * luck))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When to stop trying for good.

    Attributes:
        attempts: Failures in a row without progress; waits the service asked for do not count.
        give_up_after_s: Seconds in all; waits the service asked for do not count.
    """

    attempts: int = 10
    give_up_after_s: float = 6 * 3600.0
    backoff: Backoff = field(default_factory=Backoff)

    def is_exhausted(self, failures: int, spent_s: float) -> bool:
        """Whether another attempt is one too many."""
        return failures >= self.attempts or spent_s >= self.give_up_after_s
