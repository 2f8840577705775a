"""Processes that die at one chosen write, and queues that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Died(BaseException):
    """The process is gone; nothing may catch it."""


@dataclass(slots=True)
class Faults:
    """How the queues misbehave; shares of messages."""

    duplicated: float = 0.0
    dropped: float = 0.0
    reordered: bool = False
    seed: int = 0


class Mortal:
    """A port whose process dies at one chosen write, before or after it took effect."""

    WRITES = frozenset(
        {"create", "save", "send", "append", "write", "create_batch", "publish", "move", "delete", "delete_draft"}
        | {"write_page", "write_manifest", "write_members", "write_batches"}
    )

    def __init__(self, port: Any, life: Life) -> None:
        self._port = port
        self._life = life

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._port, name)
        if name not in self.WRITES:
            return target

        def write(*args: Any, **kwargs: Any) -> Any:
            return self._life.spend(lambda: target(*args, **kwargs))

        return write


@dataclass(slots=True)
class Life:
    """How many writes the process lives for; None for ever. It dies once and is started again."""

    left: int | None = None
    dies_after_the_write: bool = True
    writes: int = 0

    def spend[T](self, write: Callable[[], T]) -> T:
        self.writes += 1
        if self.left is None:
            return write()
        if self.left == 0:
            self.left = None
            if self.dies_after_the_write:
                write()
            raise Died
        self.left -= 1
        return write()


def check_every_death[T](run: Callable[[Life], T], *, every: int = 1) -> T:
    """What comes of a run, which is the same if the process dies at any of its writes (invariant I4).

    Args:
        every: Only at every such write, where a run takes long.
    """
    life = Life()
    expected = run(life)
    assert life.writes
    for left in range(0, life.writes, every):
        assert run(Life(left=left)) == expected, f"died at write {left}"
    return expected
