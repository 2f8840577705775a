"""The cursor of looking for devices that begin to match a dynamic campaign's query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomers:
    """How far the looking is.

    Attributes:
        due_at: When the next page is to be listed; None before the first look.
        continuation: IoT Hub's token for that page; empty at the beginning of a look.
        page: Number of the page with the devices that are about to join; None while there are none.
        joined: Devices that have joined.
        is_closed: Whether an operator said that nobody joins any more.
    """

    due_at: datetime | None = None
    continuation: str = ""
    page: int | None = None
    joined: int = 0
    is_closed: bool = False
