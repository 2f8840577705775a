"""Trying a conditional write again while others write the same rows."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from shared.ports.errors import ConcurrentChange

log = logging.getLogger(__name__)

ATTEMPTS = 8
"""Tries in place, about three seconds in all, before the work is given back to its queue."""

_FIRST_PAUSE_S = 0.02


def until_written[T](attempt: Callable[[], T], *, what: str) -> T:
    """What the attempt returns, once nobody came between its read and its write.

    Args:
        attempt: Reads, decides and writes anew at each call.
        what: What is being written, for the error.

    Raises:
        ConcurrentChange: Others kept writing; doing it again later is safe.
    """
    for tried in range(ATTEMPTS):
        try:
            return attempt()
        except ConcurrentChange as error:
            log.info("%s: others write at the same time: %s", what, error)
            time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**tried))
    raise ConcurrentChange(f"{what}: others keep writing at the same time")
