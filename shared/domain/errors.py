"""What can go wrong, told apart by what a retry can do about it."""

from __future__ import annotations


class DomainError(Exception):
    """Nobody can mend this by trying again: park or refuse it, and say why.

    Attributes:
        code: A stable word for programs, such as ``version_taken``.
        message: A sentence for people that says what to do.
    """

    code = "invalid"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code


class TrustError(DomainError):
    """Something that must not be believed: a signature, a digest, a proof, a ticket."""

    code = "not_trusted"


class InvalidId(DomainError):
    """A name, version or id that breaks the rules for its kind."""

    code = "invalid_id"


class ArtifactRefused(DomainError):
    """An artifact that cannot become a package; it goes to ``quarantine`` with this reason."""

    code = "artifact_refused"


class NotFound(DomainError):
    """What was asked for does not exist."""

    code = "not_found"


class Conflict(DomainError):
    """What was asked for does not fit the present state."""

    code = "conflict"


class TooLarge(DomainError):
    """What was sent has more bytes than are taken."""

    code = "too_large"


class MalformedMessage(DomainError):
    """A queue message or event that cannot be read; it is parked, never redelivered for ever."""

    code = "malformed_message"


class NewerMessage(MalformedMessage):
    """A message that a newer version may have written: that one's instances can read it, once they are all there is."""

    code = "newer_message"


class Forbidden(DomainError):
    """Who asks is known, and may not do this."""

    code = "forbidden"
