"""Which devices run a campaign's version already, so that they need no offer."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.domain.rollouts import PackageTarget
from shared.ports.hub import TwinReader
from shared.wire.twins import read_installed

CURRENT = "current"
"""The code of a rollout skipped because its device runs the version already."""


class CurrentDevices:
    """Tells current devices; remembers what their twins said, so that it serves for one step.

    The device row only nominates, because it says what was confirmed at the end of the last rollout; a device may have
    been set back by hand since. The twin decides. A device that no row knows is offered the package: asking every
    twin of a fleet would cost more than the few offers.

    Attributes:
        confirmed: The devices found current so far.
        reads: How many twins were read.
    """

    def __init__(self, target: PackageTarget, twins: TwinReader) -> None:
        self._target = target
        self._twins = twins
        self._asked: set[DeviceId] = set()
        self.confirmed: set[DeviceId] = set()
        self.reads = 0

    def among(self, records: Sequence[DeviceRecord]) -> frozenset[DeviceId]:
        """Those of the devices that run the version already.

        Raises:
            PortError: A twin cannot be read now.
        """
        nominated = [record.device for record in records if self._runs(record.installed.get(self._target.name))]
        for device in nominated:
            if device not in self._asked:
                self._ask(device)
        return frozenset(self.confirmed.intersection(nominated))

    def _ask(self, device: DeviceId) -> None:
        self.reads += 1
        if self._runs(read_installed(self._twins.read_reported(device)).get(self._target.name)):
            self.confirmed.add(device)
        self._asked.add(device)

    def _runs(self, version: str | None) -> bool:
        return version == self._target.version
