"""An edit of waves that names new filters: until the devices that meet them are listed, the waves stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.waves import Matching, WaveSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEdit:
    """What was asked for, and how far the listing is. Signed when it is asked for.

    Attributes:
        waves: The pending waves as they shall be.
        conditions: The filters to list, in the order in which they are.
        first_page: Number of the first page of their listings.
        page: Number of the page that is listed next.
        ends: For each filter that is listed, one past its last page.
        continuation: IoT Hub's token for that page; empty at the beginning of a listing.
        signature: The service's own, see ``shared.handlers.spec_desk``.
    """

    waves: tuple[WaveSpec, ...]
    conditions: tuple[str, ...]
    by: str
    at: datetime
    first_page: int
    page: int
    ends: tuple[int, ...] = ()
    continuation: str = ""
    signature: str = ""

    @property
    def is_listed(self) -> bool:
        """Whether all its filters are listed."""
        return len(self.ends) == len(self.conditions)

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """For each filter that is listed, its first page and one past its last."""
        starts = (self.first_page, *self.ends)
        return dict(zip(self.conditions, zip(starts, self.ends, strict=False), strict=False))


def conditions_of(waves: tuple[WaveSpec, ...]) -> tuple[str, ...]:
    """The filters of the waves, in their order."""
    return tuple(wave.size.condition for wave in waves if isinstance(wave.size, Matching))
