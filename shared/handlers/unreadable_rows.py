"""Sweeps pass over what this version cannot read: they are about many campaigns, and one must not stop the others.

While an upgrade lasts, the sweeps of the newer version look after what it wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from shared.ports.errors import UnreadableRow

log = logging.getLogger(__name__)


def readable[T](rows: Iterable[T]) -> Iterator[T]:
    """The rows without those that cannot be read; the log says that there are some."""
    try:
        yield from rows
    except UnreadableRow as error:
        log.warning("passed over: %s", error)


def unless_unreadable[T](work: Callable[[], T], instead: T) -> T:
    """What the work gives; ``instead`` where it meets a row that cannot be read, and the log says so."""
    try:
        return work()
    except UnreadableRow as error:
        log.warning("passed over: %s", error)
        return instead
