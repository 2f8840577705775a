"""What queries see: the registry itself or, as in Azure, an index that lags behind it."""

import asyncio
from copy import copy
from typing import Protocol

from emulator.hub.devices import Device
from emulator.hub.registry import Registry, devices_after


class Devices(Protocol):
    """Devices in the order of their creation."""

    def after(self, serial: int, count: int) -> list[Device]:
        """Up to ``count`` devices created after the one with this serial number."""


class QueryView:
    """The registry as queries see it; fresh until a lag is set.

    With a lag all queries see one snapshot, which is taken anew every ``lag_s`` seconds: what they see is nowhere
    older than that, and what was just written may be missing. IoT Hub documents its queries as eventually consistent
    and names no bound.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._snapshot: list[Device] | None = None
        self._refreshing: asyncio.TimerHandle | None = None
        self.lag_s = 0.0

    def set_lag(self, lag_s: float) -> None:
        """Take a snapshot now and every ``lag_s`` seconds from now on; 0 makes queries fresh. Needs a running loop.

        Raises:
            ValueError: negative.
        """
        if lag_s < 0:
            raise ValueError("a lag is not negative")
        self.stop()
        self.lag_s, self._snapshot = lag_s, None
        if lag_s > 0:
            self._refresh()

    def stop(self) -> None:
        """Take no more snapshots."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    def after(self, serial: int, count: int) -> list[Device]:
        if self._snapshot is None:
            return self._registry.after(serial, count)
        return devices_after(self._snapshot, serial, count)

    def _refresh(self) -> None:
        # Shallow copies are enough: twins and identities are replaced, never changed in place.
        self._snapshot = [copy(device) for device in self._registry]
        self._refreshing = asyncio.get_running_loop().call_later(self.lag_s, self._refresh)
