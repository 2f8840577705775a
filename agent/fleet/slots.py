"""A/B slots in memory."""

from __future__ import annotations

from collections.abc import Mapping


class MemorySlots:
    """Two dictionaries of package name to version, one of them active."""

    def __init__(self, installed: Mapping[str, str]) -> None:
        self._slots: dict[str, dict[str, str]] = {"a": dict(installed), "b": {}}
        self.active = "a"

    @property
    def inactive(self) -> str:
        """Name of the slot the device does not run from."""
        return "b" if self.active == "a" else "a"

    @property
    def runs(self) -> dict[str, str]:
        """What the device runs."""
        return dict(self._slots[self.active])

    def install(self, name: str, version: str) -> None:
        """Make the inactive slot what the active one is, with that package."""
        self._slots[self.inactive] = {**self._slots[self.active], name: version}

    def switch(self) -> None:
        """Make the inactive slot the active one."""
        self.active = self.inactive
