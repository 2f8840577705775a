"""What was heard of devices that a campaign names one by one, for an id may be misspelt.

IoT Hub is not asked about them before their turn: it would cost a query for each hundred, or a twin read each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.campaign_specs import DeviceList, Targets
from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId

MAX_NAMED = 10
"""Devices that are named; all are counted. Ten of the longest ids are 1.3 KB of a table property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """So many devices, and who the first of them are, in the campaign's order."""

    count: int = 0
    first: tuple[DeviceId, ...] = ()

    def and_also(self, devices: Sequence[DeviceId]) -> Named:
        """Both together."""
        return Named(count=self.count + len(devices), first=(*self.first, *devices)[:MAX_NAMED])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearsay:
    """What was heard of the devices looked at so far.

    Attributes:
        looked_at: How many that were; 0 where the hub itself named them.
        unheard: Those of which neither the hub nor they themselves ever said that they exist.
        gone: Those of which the hub said that it has them no more, or does not know them.
    """

    looked_at: int = 0
    unheard: Named = field(default_factory=Named)
    gone: Named = field(default_factory=Named)

    def with_devices(
        self, targets: Targets, devices: Sequence[DeviceId], records: Mapping[DeviceId, DeviceRecord]
    ) -> Hearsay:
        """What was heard once these were looked at, too; the same where the hub itself found the targets.

        Args:
            records: The rows of those that have one.
        """
        if not isinstance(targets, DeviceList):
            return self
        gone = [device for device in devices if device in records and records[device].deleted_at is not None]
        heard = {device for device, record in records.items() if record.is_heard_of}
        return Hearsay(
            looked_at=self.looked_at + len(devices),
            unheard=self.unheard.and_also([each for each in devices if each not in heard and each not in gone]),
            gone=self.gone.and_also(gone),
        )
