"""What does not answer: asked for by anybody, and looked at seldom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from shared.domain.errors import DomainError
from shared.ports.errors import AccessRefused, PortError

log = logging.getLogger(__name__)

KEPT = timedelta(seconds=10)
"""``/health`` has no lock on it: without this, whoever asks often uses up calls of the hub and the vault."""


class OutageWatch:
    """Looks at everything behind the service, at most once in ten seconds.

    Args:
        checks: Name to a call that fails where the thing does not answer.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]], clock: Callable[[], datetime]) -> None:
        self._checks = checks
        self._clock = clock
        self._looking = Lock()
        self._found: Mapping[str, str] = {}
        self._good_until: datetime | None = None

    def find(self) -> Mapping[str, str]:
        """Name to reason, empty when all is well."""
        with self._looking:
            if self._good_until is None or self._clock() >= self._good_until:
                complaints = {name: _complaint(check) for name, check in self._checks.items()}
                self._found = {name: complaint for name, complaint in complaints.items() if complaint}
                self._good_until = self._clock() + KEPT
            return self._found


def _complaint(check: Callable[[], object]) -> str:
    try:
        check()
    except (PortError, DomainError) as error:
        log.warning("unhealthy: %s", error)
        # Other errors' words may name hosts and accounts: they go to the log alone (invariant I10).
        return error.message if isinstance(error, AccessRefused) else type(error).__name__
    return ""
