"""Parts of one timer that must not starve each other."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def run_all(*parts: Callable[[], object]) -> None:
    """Run every part, in order, whatever becomes of the others.

    Raises:
        Exception: The first that a part raised; it is raised when all parts have run.
    """
    failures: list[Exception] = []
    for part in parts:
        try:
            part()
        except Exception as error:
            log.warning("one part of the sweep failed, the others go on: %s", error)
            failures.append(error)
    if failures:
        raise failures[0]
