"""What ``GET /campaigns/{id}`` answers about what holds a campaign back."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from shared.domain.waits import Wait


class WaitView(BaseModel):
    """One thing that holds a campaign back."""

    what: str = Field(
        description=(
            "fleet_release, operator, approval, schedule, window, hub_budget, bandwidth, pace, held_devices, soak, "
            "withdrawal or children"
        )
    )
    words: str = Field(description="A sentence for operators")
    since: datetime | None = Field(description="From when on; null where nobody knows")
    until: datetime | None = Field(description="When it ends by itself; null where somebody must act, or nobody knows")


def view_wait(wait: Wait) -> WaitView:
    """A wait as it is shown."""
    return WaitView(what=wait.what.value, words=wait.words, since=wait.since, until=wait.until)
