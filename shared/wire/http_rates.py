"""What of a campaign request says how fast it may go, and how that is shown."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from shared.domain.rates import ConstantRate, ExponentialRate, Pace, Rate, per_minute
from shared.wire.http_fields import RequestModel

type PerMinute = Annotated[float, Field(ge=0.001, le=1_000_000, allow_inf_nan=False)]
type Bandwidth = Annotated[int, Field(ge=1024, le=10**13)]


class RateRequest(RequestModel):
    """Devices a minute: ``devices_per_minute``, or the other four for a rate that grows as devices succeed."""

    devices_per_minute: PerMinute | None = None
    base_per_minute: PerMinute | None = None
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] | None = None
    after_succeeded: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    maximum_per_minute: PerMinute | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        growing = {
            "base_per_minute": self.base_per_minute,
            "factor": self.factor,
            "after_succeeded": self.after_succeeded,
            "maximum_per_minute": self.maximum_per_minute,
        }
        missing = [name for name, value in growing.items() if value is None]
        if self.devices_per_minute is not None and len(missing) < len(growing):
            raise ValueError("give either devices_per_minute, or a rate that grows")
        if self.devices_per_minute is None and missing:
            raise ValueError(f"give devices_per_minute, or for a rate that grows also {', '.join(missing)}")
        if (self.maximum_per_minute or 0) < (self.base_per_minute or 0):
            raise ValueError("maximum_per_minute is less than base_per_minute, so the rate could never be what it asks")
        return self

    def to_rate(self) -> Rate:
        """The rate it means."""
        if self.devices_per_minute is not None:
            return ConstantRate(devices_per_minute=self.devices_per_minute)
        return ExponentialRate(
            base_per_minute=self.base_per_minute or 0,
            factor=self.factor or 0,
            after_succeeded=self.after_succeeded or 0,
            maximum_per_minute=self.maximum_per_minute or 0,
        )


def to_pace(rate: RateRequest | None, bandwidth_bytes_per_s: int | None) -> Pace:
    """The pace that the two fields of a request mean."""
    return Pace(rate=None if rate is None else rate.to_rate(), bandwidth_bytes_per_s=bandwidth_bytes_per_s)


class PaceView(BaseModel):
    """How fast the campaign may go, beside what the hub and the fleet's bandwidth leave."""

    devices_per_minute: float | None = Field(description="As of now, which grows with successes; null for no bound")
    bandwidth_bytes_per_s: int | None = Field(description="For the downloads of all its devices together")
    rate: RateRequest | None = Field(description="The rate that was asked for")


def view_pace(pace: Pace, succeeded: int) -> PaceView:
    """The pace as it is shown.

    Args:
        succeeded: Devices of the campaign that have succeeded.
    """
    return PaceView(
        devices_per_minute=None if pace.rate is None else per_minute(pace.rate, succeeded),
        bandwidth_bytes_per_s=pace.bandwidth_bytes_per_s,
        rate=_view_rate(pace.rate),
    )


def _view_rate(rate: Rate | None) -> RateRequest | None:
    match rate:
        case ConstantRate(devices_per_minute=devices):
            return RateRequest(devices_per_minute=devices)
        case ExponentialRate():
            return RateRequest(
                base_per_minute=rate.base_per_minute,
                factor=rate.factor,
                after_succeeded=rate.after_succeeded,
                maximum_per_minute=rate.maximum_per_minute,
            )
        case None:
            return None
