"""What the hub's core needs of a connected device, whatever the protocol."""

from typing import Protocol

from emulator.hub.commands import Command
from emulator.hub.documents import Json


class DeviceLink(Protocol):
    """One live connection."""

    def notify_desired(self, patch: Json) -> None:
        """Tell the device of changed desired properties, if it listens."""

    def call_method(self, request_id: str, name: str, payload: bytes) -> bool:
        """Start a direct method; False where the device has not subscribed to methods."""

    def deliver(self, command: Command) -> None:
        """Send a cloud-to-device message, if the device listens."""

    def close(self, reason: str) -> None:
        """End the connection; the hub hears nothing more of it."""
