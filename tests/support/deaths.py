"""Ports through which the process dies at a chosen write, or through which something else happens just before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

WRITES = frozenset(
    {
        "copy_to_packages",
        "copy_to_quarantine",
        "write_quarantine_note",
        "delete_incoming",
        "create",
        "save",
        "replace_timestamp",
        "send",
        "publish",
        "remove",
        "park",
    }
)


class Died(BaseException):
    """The process ended here. No handler may catch it."""


class Writes:
    """Counts the writes through its ports and interferes with one of them.

    Attributes:
        log: The writes that were done, by method name.
    """

    def __init__(self, *, before: Callable[[int], None] | None = None, after: Callable[[int], None] | None = None):
        self._before = before or _nothing
        self._after = after or _nothing
        self.log: list[str] = []

    def through[P](self, port: P) -> P:
        """The port, seen by these writes."""
        return cast("P", _Seen(port, self))

    def write(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.log)
        self._before(number)
        result = call()
        self.log.append(name)
        self._after(number)
        return result


class _Seen:
    def __init__(self, port: object, writes: Writes) -> None:
        self._port, self._writes = port, writes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in WRITES:
            return method
        return lambda *args, **kwargs: self._writes.write(name, lambda: method(*args, **kwargs))


def _nothing(_: int) -> None:
    return None


def _die_at(chosen: int) -> Callable[[int], None]:
    def die(number: int) -> None:
        if number == chosen:
            raise Died(f"at write {number}")

    return die


def every_death(action: Callable[[Writes], object]) -> Iterator[str]:
    """Runs the action again and again, dying before its first write, after it, before its second, …

    The action builds its own world. Yields after each death, so that the caller can look at what is left.
    """
    number = 0
    while True:
        for side in ("before", "after"):
            writes = Writes(before=_die_at(number)) if side == "before" else Writes(after=_die_at(number))
            try:
                action(writes)
            except Died:
                yield f"{side} write {number}"
            else:
                return
        number += 1
