"""What of a campaign request says how patient it is with devices, and when they may install."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.domain.campaign_specs import Deadlines
from shared.domain.errors import DomainError
from shared.domain.windows import DEVICE_ZONE, Window, find_zone
from shared.wire.http_fields import TIME_OF_DAY, RequestModel, Seconds

_MACHINES_OWN = re.compile(r"localtime|posixrules|Factory|(?:posix|right)/.*")
"""Files that lie among the zones, and mean something else on each machine or count leap seconds."""


def _check_zone(text: str) -> str:
    if _MACHINES_OWN.fullmatch(text):
        raise ValueError(f"{text!r} is no place's time zone; use an IANA name such as Europe/Berlin, or device")
    if text != DEVICE_ZONE:
        try:
            find_zone(text)
        except DomainError as error:
            raise ValueError(error.message.removeprefix("zone: ")) from error
    return text


class DeadlinesRequest(RequestModel):
    """Seconds a device may stay in a state before it counts as timed out."""

    offered_s: Seconds = Deadlines().offered_s
    downloading_s: Seconds = Deadlines().downloading_s
    installing_s: Seconds = Deadlines().installing_s
    restarting_s: Seconds = Deadlines().restarting_s


type _TimeOfDay = Annotated[str, Field(pattern=TIME_OF_DAY)]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowRequest(RequestModel):
    """When devices may install: days on which it begins, times of day ``HH:MM``, and a time zone.

    ``end`` not later than ``start`` lies on the next day. ``zone`` is an IANA name, or ``device`` for the device's own.
    """

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1)]
    start: _TimeOfDay
    end: _TimeOfDay
    zone: Annotated[str, Field(max_length=60), AfterValidator(_check_zone)] = DEVICE_ZONE

    def to_window(self) -> Window:
        """The window it means."""
        return Window(
            days=tuple(sorted({WEEKDAYS.index(day) + 1 for day in self.days})),
            start=time.fromisoformat(self.start),
            end=time.fromisoformat(self.end),
            zone=self.zone,
        )
