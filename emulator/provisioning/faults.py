"""What the service is told to do wrong."""

from collections.abc import Mapping
from typing import Any

from emulator.provisioning.errors import ProvisioningError, throttled


class ProvisioningFaults:
    """Answers the next requests of devices with a status."""

    def __init__(self) -> None:
        self._status = 0
        self._left = 0
        self._retry_after_s = 1

    def set(self, fields: Mapping[str, Any]) -> None:
        """Take `{"status", "count"?, "retryAfter"?}`; an empty object clears it.

        Raises:
            ValueError: an unknown field, or no status of an error.
        """
        if fields.keys() - {"status", "count", "retryAfter"}:
            raise ValueError("name status, and count or retryAfter")
        status = int(fields.get("status", 0)) if fields else 0
        if fields and not 400 <= status < 600:
            raise ValueError("status is that of an error")
        self._status = status
        self._left = int(fields.get("count", 1)) if fields else 0
        self._retry_after_s = int(fields.get("retryAfter", 1))

    def take(self) -> None:
        """Let a request pass, or not.

        Raises:
            ProvisioningError: it was told to.
        """
        if self._left <= 0:
            return
        self._left -= 1
        if self._status == 429:
            raise throttled(self._retry_after_s)
        raise ProvisioningError(self._status * 1000 + 1, "told to fail")
