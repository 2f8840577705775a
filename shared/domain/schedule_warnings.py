"""Whether a plan can be done before its schedule ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain.plan_facts import PlanFacts, PlanWarning
from shared.domain.schedules import AtEnd

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


def _end(facts: PlanFacts) -> datetime | None:
    return facts.spec.schedule.end_at if facts.spec.schedule else None


def _then(facts: PlanFacts) -> str:
    return _WHAT_THEN[facts.spec.schedule.at_end if facts.spec.schedule else AtEnd.PAUSE]


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
