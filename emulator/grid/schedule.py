"""When Event Grid tries again, and when it gives up (event-grid/delivery-and-retry)."""

from dataclasses import dataclass
from enum import StrEnum

_DELAYS_S = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600)
_LAST_DELAY_S = 43200
SUCCESS = frozenset({200, 201, 202, 203, 204})
# What retrying cannot mend, for webhook endpoints.
_FINAL = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}


class DeliveryOutcome(StrEnum):
    """`lastDeliveryOutcome` of a dead-lettered event."""

    BAD_REQUEST = "BadRequest"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    TIMED_OUT = "TimedOut"
    BUSY = "Busy"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    SOCKET_ERROR = "SocketError"
    GENERIC_ERROR = "GenericError"


_OUTCOMES = {
    400: DeliveryOutcome.BAD_REQUEST,
    401: DeliveryOutcome.UNAUTHORIZED,
    403: DeliveryOutcome.FORBIDDEN,
    404: DeliveryOutcome.NOT_FOUND,
    408: DeliveryOutcome.TIMED_OUT,
    413: DeliveryOutcome.PAYLOAD_TOO_LARGE,
    429: DeliveryOutcome.BUSY,
    503: DeliveryOutcome.BUSY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How long one subscription tries.

    Attributes:
        max_attempts: 1-30.
        time_to_live_s: 60-86400, counted from publishing.
        scale: multiplies every delay; 1 is Azure's own pace.
    """

    max_attempts: int = 30
    time_to_live_s: float = 86400.0
    scale: float = 1.0

    def delay_s(self, attempts: int) -> float:
        """Seconds to wait after failed attempt number `attempts` (from 1)."""
        index = attempts - 1
        wanted_s = _DELAYS_S[index] if index < len(_DELAYS_S) else _LAST_DELAY_S
        return wanted_s * self.scale

    def reason_to_give_up(self, *, attempts: int, age_s: float, status: int | None) -> str | None:
        """`deadLetterReason` if there will be no further attempt, None otherwise.

        Args:
            attempts: attempts made.
            age_s: seconds since publishing.
            status: HTTP status of the last attempt, None without an answer.
        """
        if status in _FINAL:
            return _FINAL[status]
        if attempts >= self.max_attempts:
            return "MaxDeliveryAttemptsExceeded"
        if age_s + self.delay_s(attempts) > self.time_to_live_s:
            return "TimeToLiveExceeded"
        return None


def outcome_of(status: int | None) -> DeliveryOutcome:
    """The word for a failed attempt."""
    if status is None:
        return DeliveryOutcome.SOCKET_ERROR
    return _OUTCOMES.get(status, DeliveryOutcome.GENERIC_ERROR)
