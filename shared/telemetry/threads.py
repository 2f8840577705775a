"""Threads whose spans and log records are about the same as those of whoever gave them their work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context


class TellingThreads(ThreadPoolExecutor):
    """A pool for the service's own work; a plain one would begin each task without campaign, batch and trace.

    What a task says of whom it is about stays with the task: each has a copy of its own.
    """

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As ``ThreadPoolExecutor.submit``, and so ``map``, which is made of it."""
        present = copy_context()
        return super().submit(lambda: present.run(fn, *args, **kwargs))
