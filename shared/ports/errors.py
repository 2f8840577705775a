"""How the outside may fail. Adapters turn every vendor exception into one of these."""

from __future__ import annotations


class PortError(Exception):
    """The outside did not do what it was asked; trying again later may help. Handlers let it rise to the host."""


class Unavailable(PortError):
    """The service behind the port cannot be reached or answers with an outage."""


class AccessRefused(Unavailable):
    """The service behind the port does not let this app do it.

    People mend that, by granting a role: the work waits as in an outage.

    Attributes:
        message: Which role on which resource is needed; no host, no key.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Throttled(PortError):
    """The service asks for fewer calls.

    Attributes:
        retry_after_s: Seconds it asks to wait; None when it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(PortError):
    """The daily message quota is used up (IoT Hub 403002); waiting minutes does not help."""


class ConcurrentChange(PortError):
    """Somebody else wrote the row first: read it again and decide anew."""


class AlreadyExists(PortError):
    """A row or blob that must be new is there already."""


class NotThere(PortError):
    """A row, blob or device that must be there is not."""


class UnreadableRow(PortError):
    """A row cannot be read whole, so that writing it would lose something: it is left alone, and the work waits.

    While an upgrade lasts, a newer version may have written it, whose instances go on with it. Otherwise somebody
    edited it, and people mend that.
    """


class KeyUnusable(PortError):
    """A signing key is missing, refused, of the wrong kind, or not one that the index names.

    People mend that, not another message: the work waits, nothing is parked and nothing is half published.

    Attributes:
        message: Which key, which role, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class KeyRefused(KeyUnusable, AccessRefused):
    """The vault does not let this app use a key."""
