"""What an answer says of named devices of which nobody has heard, or which are gone."""

from __future__ import annotations

from pydantic import BaseModel, Field

from shared.domain.hearsay import Named

UNHEARD = (
    "Of targets named one by one: devices of which neither IoT Hub nor they themselves ever told this service that "
    "they exist; IoT Hub is not asked before their turn"
)
GONE = "Of those: devices that were deleted in IoT Hub, or not known to it when they were last offered something"


class NamedDevicesView(BaseModel):
    """So many devices, and some of them."""

    count: int
    devices: list[str] = Field(description="The first ten of them")


def view_named(named: Named) -> NamedDevicesView:
    """The view of some devices."""
    return NamedDevicesView(count=named.count, devices=list(named.first))
