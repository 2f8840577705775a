"""What devices' twins say, read one by one where the ``devices`` table does not say it, each at most once in a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.ids import DeviceId
from shared.ports.hub import TwinReader
from shared.wire.twins import read_hardware, read_installed


class AskedTwins:
    """Remembers what twins said, so that it serves for one step.

    Attributes:
        reads: How many twins were read.
    """

    def __init__(self, twins: TwinReader) -> None:
        self._twins = twins
        self._said: dict[DeviceId, Mapping[str, Any] | None] = {}
        self.reads = 0

    def installed(self, device: DeviceId) -> Mapping[str, str]:
        """Package name to the version that the device says it runs.

        Raises:
            PortError: The twin cannot be read now.
        """
        return read_installed(self._ask(device))

    def hardware(self, device: DeviceId) -> str:
        """What the device says it is; empty where it does not say.

        Raises:
            PortError: The twin cannot be read now.
        """
        return read_hardware(self._ask(device))

    def _ask(self, device: DeviceId) -> Mapping[str, Any] | None:
        if device not in self._said:
            self.reads += 1
            self._said[device] = self._twins.read_reported(device)
        return self._said[device]
