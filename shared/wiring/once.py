"""A property computed once, whichever thread asks first."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any


class once[T]:  # noqa: N801 - a decorator
    """Like ``functools.cached_property``, which since Python 3.12 may compute twice when two threads ask at once.

    Two of a client cost connections; two of a store whose threads must take turns would let them past each other.
    """

    _lock = RLock()

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, owner: Any, _kind: type | None = None) -> T:
        with self._lock:
            made = vars(owner)
            if self._name not in made:
                made[self._name] = self._make(owner)
            value: T = made[self._name]
            return value
