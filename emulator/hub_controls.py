"""What the control API changes about a running hub."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulator.hub import HubServer, Tier
from emulator.hub.config import Throttles

_UNITS = range(1, 201)
"""IoT Hub developer guide, "quotas and throttling"; S3 takes 10 without a support request."""
_THROTTLE_FIELDS = {"state", "tier", "units", "dailyMessages"}


class HubControls:
    """Throttles, quota and query lag of one hub, changed by JSON fields."""

    def __init__(self, hub: HubServer) -> None:
        self._hub = hub

    def set_throttle(self, fields: Mapping[str, Any]) -> None:
        """Take any of `{"state": "on" | "off", "tier", "units", "dailyMessages"}`; what is not named stays.

        A tier or a number of units sets the throttles' rates alone; `dailyMessages` null lifts the quota.

        Raises:
            ValueError: nothing named, an unknown field or value; nothing is changed then.
        """
        if not fields or fields.keys() - _THROTTLE_FIELDS:
            raise ValueError(f"name one or more of {sorted(_THROTTLE_FIELDS)}")
        throttle = self._hub.throttle
        mode = Throttles(fields.get("state", throttle.mode))
        tier, units = Tier(fields.get("tier", throttle.config.tier)), fields.get("units", throttle.config.units)
        daily_messages = fields.get("dailyMessages", throttle.daily_messages)
        if units not in _UNITS:
            raise ValueError("units are 1 to 200")
        if daily_messages is not None and (not isinstance(daily_messages, int) or daily_messages < 0):
            raise ValueError("dailyMessages is a whole number or null")
        if {"tier", "units"} & fields.keys():
            throttle.resize(replace(throttle.config, tier=tier, units=units))
        throttle.mode, throttle.daily_messages = mode, daily_messages

    def set_queries(self, fields: Mapping[str, Any]) -> None:
        """Take `{"lagSeconds": number}`.

        Raises:
            ValueError: negative, or another field.
        """
        if fields.keys() != {"lagSeconds"}:
            raise ValueError("name lagSeconds")
        self._hub.hub.query_view.set_lag(float(fields["lagSeconds"]))
