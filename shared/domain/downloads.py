"""Bandwidth for downloads: a token bucket kept as the moment from which on nothing of it is promised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

GRANT_S = 1.0
"""How much of a bandwidth is promised in one write, so that small packages do not cost a write each."""

GRANT_LASTS_S = 5.0
"""What is not used of a grant by then is lost: handed out later, it would come on top of what others get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one instance may hand out without asking again.

    Attributes:
        bytes_left: Of what was promised to it.
        ends_at: When the rest is lost.
        free_at: From when on nothing of the bandwidth was promised, as it was last seen: it never gets earlier.
    """

    bytes_left: int
    ends_at: datetime
    free_at: datetime


def use(grant: Grant, length_bytes: int, *, now: datetime) -> Grant | None:
    """The grant after a download of this length; None where it does not hold that much any more."""
    if now >= grant.ends_at or grant.bytes_left < length_bytes:
        return None
    return Grant(bytes_left=grant.bytes_left - length_bytes, ends_at=grant.ends_at, free_at=grant.free_at)


def promise(free_at: datetime, length_bytes: int, bandwidth_bytes_per_s: float, *, now: datetime) -> Grant | None:
    """A new grant for downloads of about this length; None while what was promised before is still on the wire.

    It holds whole packages, about a second's worth of them and one at the least.
    """
    if free_at > now:
        return None
    packages = max(1, math.floor(bandwidth_bytes_per_s * GRANT_S / max(1, length_bytes)))
    size = packages * length_bytes
    return Grant(
        bytes_left=size,
        ends_at=now + timedelta(seconds=GRANT_LASTS_S),
        free_at=now + timedelta(seconds=size / bandwidth_bytes_per_s),
    )
