"""A device's view of its desired properties, kept current by patches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from agent.fleet.link import Link
from agent.session import merge
from shared.wire.twins import read_hardware


class TwinMirror:
    """The newest desired properties.

    Attributes:
        news: Set when something has changed, or the connection was lost.
        version: ``$version`` of what stands here; -1 before the first twin was read.
        handled: The version that was acted upon; -1: act upon what stands now.
        hardware: What the twin says the device is; empty where it does not say.
        is_stale: Patches were missed, so that the twin must be read.
    """

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.desired: Mapping[str, Any] = {}
        self.version = -1
        self.handled = -1
        self.hardware = ""
        self.is_stale = True

    @property
    def is_unhandled(self) -> bool:
        """Whether something newer than what was acted upon stands here, or must be read."""
        return self.version != self.handled or self.is_stale

    async def read(self, link: Link) -> None:
        """Read the whole twin. Raises as ``Link.get_twin``."""
        twin = await link.get_twin()
        before, self.desired, self.hardware = self.desired, twin["desired"], read_hardware(twin["reported"])
        if before.get("update") != self.desired.get("update"):
            # The version alone does not tell: it starts anew for a device created again.
            self.handled = -1
        self.version, self.is_stale = int(self.desired.get("$version", 0)), False

    def hear(self, patch: Mapping[str, Any]) -> None:
        """Take a desired patch; older ones than what stands here are nothing."""
        version = int(patch.get("$version", 0))
        if version <= self.version:
            return
        if version == self.version + 1:
            self.desired, self.version = merge(self.desired, patch), version
        else:
            self.is_stale = True
        self.news.set()

    async def doze(self, seconds: float) -> None:
        """Sleep that long, or until there is news."""
        try:
            await asyncio.wait_for(self.news.wait(), seconds)
        except TimeoutError:
            return
