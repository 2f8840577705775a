"""When a server process stops: on SIGTERM or SIGINT, or when the process that started it is gone."""

import asyncio
import signal
import sys


async def until_told_to_stop(*, with_parent: bool) -> None:
    """Return on SIGTERM, SIGINT or, with `with_parent`, when standard input closes.

    The parent holds the other end of standard input and never writes to it; so even a killed parent
    leaves nothing running.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        await loop.connect_read_pipe(lambda: _Lifeline(stop), sys.stdin)
    await stop.wait()


class _Lifeline(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's name
        self._stop.set()
