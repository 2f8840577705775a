"""The hub's clock and its way of writing times."""

from collections.abc import Callable
from datetime import UTC, datetime

type Clock = Callable[[], datetime]

NEVER = "0001-01-01T00:00:00Z"
"""What IoT Hub writes where something has not happened yet."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def write_time(moment: datetime) -> str:
    """ISO 8601 in UTC with seven decimals, as the hub writes (``2022-06-01T22:27:50.2612580Z``)."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
