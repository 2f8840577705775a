"""Whether a plan can be done before its schedule ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain.plan_facts import PlanFacts, PlanWarning
from shared.domain.schedules import AtEnd
from shared.domain.window_waits import earliest_opening

_WHAT_THEN = {AtEnd.PAUSE: "paused", AtEnd.CANCEL: "cancelled"}


def ends_too_early(facts: PlanFacts) -> Iterator[PlanWarning]:
    """The waves that cannot have passed by then, even if no device is slow and nobody has to approve for long."""
    if (end := _end(facts)) is None:
        return
    begins = facts.inputs.begins_at
    left_s = (end - begins).total_seconds()
    late = [wave for wave in facts.forecast.waves if wave.ends_after_s > left_s]
    if late:
        done = begins + timedelta(seconds=facts.forecast.duration_s)
        devices = sum(wave.load.devices for wave in late)
        message = (
            f"it begins at {_minute(begins)} and takes until {_minute(done)} at least, and its schedule ends at "
            f"{_minute(end)}: it would be {_then(facts)} before wave {late[0].load.number} ({late[0].load.name}) can "
            f"have passed, with {devices} devices in that wave and those after it"
        )
        yield PlanWarning(code="schedule_too_short", field="schedule.end_at", message=message)


def no_window_in_time(facts: PlanFacts) -> Iterator[PlanWarning]:
    """No device may install before its end."""
    windows = facts.spec.windows
    if (end := _end(facts)) is None or not windows:
        return
    opening = earliest_opening(windows, facts.inputs.begins_at)
    if opening is None or opening >= end:
        then = "never" if opening is None else f"at {_minute(opening)}"
        message = f"the first window opens {then}, and its schedule ends at {_minute(end)}: no device could install"
        yield PlanWarning(code="no_window_in_time", field="windows", message=message)


def _end(facts: PlanFacts) -> datetime | None:
    return facts.spec.schedule.end_at if facts.spec.schedule else None


def _then(facts: PlanFacts) -> str:
    return _WHAT_THEN[facts.spec.schedule.at_end if facts.spec.schedule else AtEnd.PAUSE]


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
