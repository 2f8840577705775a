"""ISO 8601 durations as the emulator's configuration writes them: `PT1M`, `P14D`, `PT1.5S`."""

import re

_PATTERN = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS_PER = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def read_duration_s(text: str) -> float:
    """Seconds in a duration of days, hours, minutes and seconds.

    Raises:
        ValueError: not such a duration; months and years have no fixed length and are refused.
    """
    match = _PATTERN.fullmatch(text)
    given = {unit: float(amount) for unit, amount in match.groupdict().items() if amount} if match else {}
    if not given or text.endswith("T"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration in days, hours, minutes and seconds")
    return sum(amount * _SECONDS_PER[unit] for unit, amount in given.items())
