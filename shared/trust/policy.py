"""The shape of the index: how many bins, how many signatures, and how long each of them holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

MAX_BINS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiries:
    """How long each role's signature holds.

    A device refuses expired metadata, so the timestamp must outlive a few failed refreshes; the shorter it is, the
    shorter an attacker can keep a device from hearing of newer packages.

    Attributes:
        refresh_every: How often ``refresh_index`` runs.

    Raises:
        ValueError: The timestamp does not hold for three refreshes.
    """

    root: timedelta = timedelta(days=730)
    targets: timedelta = timedelta(days=365)
    bins: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=4)
    refresh_every: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if self.timestamp < 3 * self.refresh_every:
            raise ValueError("the timestamp must hold for at least three refreshes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What ``trust.toml`` says.

    Attributes:
        bins: A power of two, fixed for the life of an index.
        root_threshold: Root keys that must sign a root.
        targets_threshold: Targets keys that must sign the targets role.

    Raises:
        ValueError: The number of bins is no power of two up to 16,384, or a threshold is below 1.
    """

    bins: int = 1_024
    root_threshold: int = 2
    targets_threshold: int = 1
    expiries: Expiries = field(default_factory=Expiries)

    def __post_init__(self) -> None:
        if not 1 <= self.bins <= MAX_BINS or self.bins & (self.bins - 1):
            raise ValueError(f"the number of bins must be a power of two up to {MAX_BINS}, not {self.bins}")
        if min(self.root_threshold, self.targets_threshold) < 1:
            raise ValueError("a threshold is at least 1")
