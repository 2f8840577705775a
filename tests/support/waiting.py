"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until[T](condition: Callable[[], T], *, timeout_s: float = 20, every_s: float = 0.05, what: str = "") -> T:
    """The first true value of ``condition``.

    Raises:
        TimeoutError: It stayed false.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what or f"{condition} stayed false for {timeout_s} s")
        time.sleep(every_s)
    return value
