"""What the devices of a fleet share, and how fast things go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from agent.backoff import Backoff, Patience
from agent.fleet.sources import SharedContents, SharedIndex
from agent.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take in the simulation, in seconds; pairs are the bounds of an even draw.

    Attributes:
        longest_pause_s: No ``Retry-After`` is slept beyond this.
    """

    install_s: tuple[float, float] = (0.1, 0.5)
    restart_s: tuple[float, float] = (0.1, 0.5)
    retry: Backoff = field(default_factory=lambda: Backoff(initial_s=0.5, longest_s=10.0))
    index: Patience = field(default_factory=lambda: Patience(backoff=Backoff(initial_s=0.2, longest_s=5.0)))
    download: Patience = field(default_factory=lambda: Patience(backoff=Backoff(initial_s=0.2, longest_s=5.0)))
    longest_pause_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the devices of a fleet share."""

    tls: ssl.SSLContext
    handshakes: Executor
    # Bounds the handshakes under way, so that no device's time limit runs while it queues for a thread.
    doors: asyncio.Semaphore
    clock: Clock
    index: SharedIndex
    contents: SharedContents
    pace: Pace
    occurrence: Callable[[str], asyncio.Event]
