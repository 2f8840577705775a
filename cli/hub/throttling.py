"""Provoking 429s: how many writes pass before the first one, and what it says."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

from cli.hub.calls import HubCalls, Refusal
from cli.hub.experiments import PROPERTY

PARALLEL = 16
LONGEST_S = 20.0
MOST_WRITES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """What was seen.

    Attributes:
        status: 0 where the hub never asked for fewer calls.
        retry_after: The header as it stood; None where there was none.
    """

    writes: int
    seconds: float
    status: int = 0
    code: str = ""
    message: str = ""
    retry_after: str | None = None

    def as_document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def provoke(hub: HubCalls, *, clock: Callable[[], float] = time.monotonic) -> Throttling:
    """Patch the device's twin as fast as can be, until the hub asks for fewer calls or time is over.

    Raises:
        Refusal: The hub refuses for another reason.
    """
    began, enough = clock(), Event()

    def write(number: int) -> Refusal | None:
        if enough.is_set() or clock() - began > LONGEST_S:
            return None
        try:
            hub.patch({PROPERTY: {"changed": number}})
        except Refusal as refusal:
            enough.set()
            return refusal
        counted.append(number)
        return None

    counted: list[int] = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            refusals = [refusal for refusal in pool.map(write, range(MOST_WRITES)) if refusal is not None]
        finally:
            enough.set()
    seen = Throttling(writes=len(counted), seconds=round(clock() - began, 1))
    first = next((refusal for refusal in refusals if refusal.status == 429), None)
    if first is None:
        if refusals:
            raise refusals[0]
        return seen
    retry_after = {name.lower(): value for name, value in first.headers.items()}.get("retry-after")
    return Throttling(
        writes=seen.writes,
        seconds=seen.seconds,
        status=first.status,
        code=first.code,
        message=first.message,
        retry_after=retry_after,
    )
