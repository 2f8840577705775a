"""What ``GET /campaigns/{id}`` answers about a campaign that was ordered to be reverted."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from shared.domain.campaigns import Campaign


class ReversionView(BaseModel):
    """How its devices get their former version back."""

    number: int = Field(description="Which order it is; one that was cancelled may be given again")
    ordered_by: str = Field(description="Who ordered it, or gate; empty for orders from before this was kept")
    ordered_at: datetime | None
    phase: str = Field(description="collecting, starting or watching")
    devices: dict[str, int] = Field(description="Former version to how many devices ran it; grows while collecting")
    left_open: int = Field(description="Devices that had not ended when it went on without them")
    moved_on: int = Field(description="Devices that took the package and were given another version since")
    impossible: dict[str, str] = Field(description="Former version that cannot be had to why")
    campaigns: list[str] = Field(description="The campaigns that bring the former versions back")


def view_reversion(campaign: Campaign) -> ReversionView | None:
    """The order as it is shown; None where nobody ordered it."""
    if (order := campaign.reversion) is None:
        return None
    return ReversionView(
        number=order.number,
        ordered_by=order.ordered_by,
        ordered_at=order.ordered_at,
        phase=order.phase.value,
        devices=dict(order.devices),
        left_open=order.left_open,
        moved_on=order.moved_on,
        impossible=dict(order.impossible),
        campaigns=list(order.children),
    )
