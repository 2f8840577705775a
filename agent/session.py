"""The device's session with the hub: connected or waiting to be, and the newest desired properties seen."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

from agent.backoff import Backoff
from agent.inbox import Inbox
from agent.ports import (
    ChannelDown,
    ChannelLost,
    ChannelRefused,
    ChannelThrottled,
    Clock,
    DesiredChanged,
    Event,
    TwinChannel,
)
from shared.wire.twins import MAX_HARDWARE_LENGTH, read_hardware

log = logging.getLogger(__name__)


class Session:
    """Keeps the channel open and the desired properties current.

    Attributes:
        desired: The newest desired properties; None until the first twin was read.
        version: Their ``$version``; -1 until then.
    """

    def __init__(
        self, channel: TwinChannel, inbox: Inbox, clock: Clock, backoff: Backoff, *, hardware: str = ""
    ) -> None:
        self._channel = channel
        self._inbox = inbox
        self._clock = clock
        self._backoff = backoff
        self._hardware = hardware[:MAX_HARDWARE_LENGTH]
        self._session: int | None = None
        self._wants_twin = False
        self._failures = 0
        self.retry_at_s = 0.0
        self.desired: Mapping[str, Any] | None = None
        self.version = -1

    @property
    def mark(self) -> tuple[int, object]:
        """Tells one state of the desired properties from another, also where ``$version`` starts anew."""
        return self.version, (self.desired or {}).get("update")

    @property
    def is_open(self) -> bool:
        """Whether the hub can be spoken to, as far as is known."""
        return self._session is not None

    def apply(self, event: Event) -> None:
        """Take note of an event of the channel."""
        match event:
            case ChannelLost(session=session) if session == self._session:
                self.lose("the connection was lost")
            case DesiredChanged(patch=patch) if self.is_open:
                self._apply_patch(patch)
            case _:
                pass

    def keep_open(self) -> None:
        """Connect and read the twin if that is needed and due; failures are noted and tried again later."""
        if (self.is_open and not self._wants_twin) or self._clock.monotonic_s() < self.retry_at_s:
            return
        try:
            if self._session is None:
                self._session = self._channel.open(self._inbox.put)
                self._wants_twin = True
            twin = self._channel.get_twin()
            self._take(twin["desired"])
            self._introduce(twin["reported"])
        except (ChannelThrottled, ChannelRefused) as error:
            self._put_off(str(error))
        except ChannelDown as error:
            self.lose(str(error))
        else:
            self._failures, self._wants_twin, self.retry_at_s = 0, False, 0.0

    def _introduce(self, reported: Mapping[str, Any]) -> None:
        """Say what the device is where its twin does not: a campaign of several packages asks before it offers any."""
        if not self._hardware or read_hardware(reported) == self._hardware:
            return
        try:
            self._channel.introduce(self._hardware)
        except ChannelRefused as error:
            # Whatever it has against it: updates do not depend on it.
            log.warning("the hub does not take what the device is: %s", error)

    def close(self) -> None:
        """End the connection."""
        self._session = None
        self._channel.close()

    def _apply_patch(self, patch: Mapping[str, Any]) -> None:
        version = patch.get("$version")
        if not isinstance(version, int) or version <= self.version:
            return
        if version == self.version + 1 and self.desired is not None:
            self._take(merge(self.desired, patch))
        else:
            # One or more patches were missed: only the whole twin tells what stands now.
            self._wants_twin = True

    def _take(self, desired: Mapping[str, Any]) -> None:
        self.desired, self.version = desired, int(desired.get("$version", -1))

    def lose(self, reason: str) -> None:
        """The connection ended or proved useless: make a new one later."""
        self.close()
        self._put_off(reason)

    def _put_off(self, reason: str) -> None:
        self._failures += 1
        wait_s = self._backoff.wait_s(self._failures, random.random())
        self.retry_at_s = self._clock.monotonic_s() + wait_s
        log.info("%s; again in %.1f s", reason, wait_s)


def merge(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The document after a twin patch: objects are merged, null removes."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged
