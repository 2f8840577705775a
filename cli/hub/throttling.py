"""Provoking 429s: how many writes pass before the first one, and what it says.

Bulk calls are asked separately, with one entry each: which line of the throttles they count against is not documented,
and the answer names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

from cli.hub.calls import CheckFailed, Refusal
from cli.hub.experiments import PROPERTY

PARALLEL = 16
LONGEST_S = 20.0
MOST_WRITES = 20_000
RECOVERS_WITHIN_S = 90.0
_EVERY_S = 1.0

type Write = Callable[[dict[str, Any]], object]


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


def provoke(write_twin: Write) -> Throttling:
    """Write the device's twin as fast as can be, until the hub asks for fewer calls or time is over.

    Raises:
        Refusal: The hub refuses for another reason.
        CheckFailed: It still asks for fewer calls than one long after others were made.
    """
    clock = time.monotonic
    _wait_for_room(write_twin)
    began, enough = clock(), Event()

    def write(number: int) -> Refusal | None:
        if enough.is_set() or clock() - began > LONGEST_S:
            return None
        try:
            write_twin({PROPERTY: {"changed": number}})
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


def _wait_for_room(write_twin: Write) -> None:
    """Return once the hub takes a write again."""
    deadline = time.monotonic() + RECOVERS_WITHIN_S
    while True:
        try:
            write_twin({PROPERTY: {"changed": -1}})
        except Refusal as refusal:
            if refusal.status != 429:
                raise
            if time.monotonic() > deadline:
                raise CheckFailed(f"the hub answers 429 for longer than {RECOVERS_WITHIN_S:g} s") from refusal
            time.sleep(_EVERY_S)
        else:
            return
