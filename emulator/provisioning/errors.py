"""What the service answers when it refuses."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from emulator.hub.clock import write_time


class ProvisioningError(Exception):
    """The service refuses a request.

    Args:
        number: as in `errorCode`; its first three digits are the status.
        retry_after_s: None where the answer names no wait.
    """

    def __init__(self, number: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        return self.number // 1000

    def body(self, now: datetime) -> dict[str, Any]:
        tracking_id, moment = str(uuid4()), write_time(now)
        return {
            "errorCode": self.number,
            "trackingId": tracking_id,
            "message": self.message,
            "timestampUtc": moment,
        }


def unauthorized() -> ProvisioningError:
    """It says no more than that, whatever is wrong: unknown, disabled, another key."""
    return ProvisioningError(401002, "Unauthorized")


def invalid(message: str) -> ProvisioningError:
    return ProvisioningError(400004, message)


def not_found(message: str) -> ProvisioningError:
    return ProvisioningError(404204, message)


def throttled(retry_after_s: int) -> ProvisioningError:
    return ProvisioningError(429001, "Too many requests", retry_after_s=retry_after_s)
