"""What campaign requests say about when a campaign starts and ends, and what is shown of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from shared.domain.campaigns import Campaign
from shared.domain.schedules import AtEnd, Schedule
from shared.wire.http_fields import RequestModel


class ScheduleRequest(RequestModel):
    """When it starts by itself, when it must end, and what becomes of it then; times are ISO 8601 with an offset."""

    start_at: AwareDatetime | None = None
    end_at: AwareDatetime | None = None
    at_end: Literal["pause", "cancel"] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.start_at is None and self.end_at is None:
            raise ValueError("give start_at, end_at or both")
        if self.at_end is not None and self.end_at is None:
            raise ValueError("at_end needs an end_at")
        if self.start_at is not None and self.end_at is not None and self.end_at <= self.start_at:
            raise ValueError("end_at must lie after start_at")
        return self

    def to_schedule(self) -> Schedule:
        """The schedule it means."""
        return Schedule(
            start_at=_utc(self.start_at), end_at=_utc(self.end_at), at_end=AtEnd(self.at_end or AtEnd.PAUSE)
        )


class ScheduleView(BaseModel):
    """When a campaign starts and ends by itself."""

    start_at: datetime | None
    end_at: datetime | None
    at_end: str = Field(description="pause or cancel: what becomes of it if it is not finished at its end")
    is_started_early: bool = Field(description="Whether somebody did not wait for start_at")
    is_end_waived: bool = Field(description="Whether somebody resumed it after end_at, so that it ends no more")


def view_schedule(campaign: Campaign) -> ScheduleView | None:
    """What is shown of it; None where the campaign has no schedule."""
    if (schedule := campaign.spec.schedule) is None:
        return None
    return ScheduleView(
        start_at=schedule.start_at,
        end_at=schedule.end_at,
        at_end=schedule.at_end,
        is_started_early=campaign.consents.is_started_early,
        is_end_waived=campaign.consents.is_end_waived,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
