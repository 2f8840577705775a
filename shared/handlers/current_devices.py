"""Which devices run already what a campaign has for them, so that they need no offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.domain.rollouts import PackageTarget
from shared.handlers.asked_twins import AskedTwins

CURRENT = "current"
"""The code of a rollout skipped because its device runs the version already."""


class CurrentDevices:
    """Tells current devices; remembers what their twins said, so that it serves for one step.

    The device row only nominates, because it says what was confirmed at the end of the last rollout; a device may have
    been set back by hand since. The twin decides. A device that no row knows is offered the package: asking every
    twin of a fleet would cost more than the few offers.

    Attributes:
        confirmed: The devices found current so far.
    """

    def __init__(self, target_of: Callable[[DeviceRecord], PackageTarget], twins: AskedTwins) -> None:
        self._target_of = target_of
        self._twins = twins
        self.confirmed: set[DeviceId] = set()

    def among(self, records: Sequence[DeviceRecord]) -> frozenset[DeviceId]:
        """Those of the devices that run the version already.

        Raises:
            PortError: A twin cannot be read now.
        """
        found = [record.device for record in records if self._is_current(record)]
        self.confirmed.update(found)
        return frozenset(found)

    def _is_current(self, record: DeviceRecord) -> bool:
        target = self._target_of(record)
        if record.installed.get(target.name) != target.version:
            return False
        return self._twins.installed(record.device).get(target.name) == target.version
