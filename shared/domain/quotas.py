"""The IoT Hub's daily message quota: when it is renewed, and what is said where it is used up."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta


def renewed_at(now: datetime) -> datetime:
    """The next midnight UTC, when the count begins anew (IoT Hub quotas and throttling)."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def quota_reason(now: datetime) -> str:
    """Why a campaign is paused, and when it is worth resuming."""
    when = f"{renewed_at(now):%Y-%m-%d %H:%M} UTC"
    return f"the IoT Hub's daily message quota is used up; resume after {when}, or add units to the hub before"
