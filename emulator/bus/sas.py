"""Shared access signatures: who may use which entity, until when.

Format: Microsoft Learn, "Service Bus access control with shared access signatures".
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from emulator.bus.errors import BusError, Condition

_PREFIX = "SharedAccessSignature "


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a valid token allows: everything at or below a path, until a time in seconds since 1970 UTC."""

    path: str
    expires_at: float

    def covers(self, path: str, now: float) -> bool:
        """Whether an entity path lies in the grant. Case does not matter."""
        wanted, granted = path.lower(), self.path.lower()
        inside = not granted or wanted == granted or wanted.startswith(granted + "/")
        return inside and now < self.expires_at


class SasVerifier:
    """Checks tokens against one named key."""

    __slots__ = ("_key", "_key_name")

    def __init__(self, *, key_name: str, key: str) -> None:
        self._key_name = key_name
        self._key = key.encode()

    def verify(self, token: str, now: float) -> Grant:
        """Checks a token's key name, signature and expiry.

        Raises:
            BusError: `amqp:unauthorized-access`.
        """
        fields = dict(part.split("=", 1) for part in token.removeprefix(_PREFIX).split("&") if "=" in part)
        if not token.startswith(_PREFIX) or not fields.keys() >= {"sr", "sig", "se", "skn"}:
            raise _unauthorized("The token is no shared access signature.")
        if unquote_plus(fields["skn"]) != self._key_name:
            raise _unauthorized("The token names an unknown key.")
        if not hmac.compare_digest(unquote_plus(fields["sig"]).encode(), self._sign(fields["sr"], fields["se"])):
            raise _unauthorized("The token has an invalid signature.")
        if not fields["se"].isdecimal() or int(fields["se"]) <= now:
            raise _unauthorized("The token has expired.")
        path = urlsplit(unquote_plus(fields["sr"])).path.strip("/")
        return Grant(path=path, expires_at=float(fields["se"]))

    def _sign(self, resource: str, expiry: str) -> bytes:
        text = f"{resource}\n{expiry}".encode()
        return base64.b64encode(hmac.new(self._key, text, hashlib.sha256).digest())


class Grants:
    """What one connection may use."""

    __slots__ = ("_grants",)

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}

    def add(self, grant: Grant) -> None:
        """Notes a grant; a newer one for the same path replaces the older."""
        self._grants[grant.path.lower()] = grant

    def require(self, path: str, now: float) -> None:
        """Says whether the connection may use an entity.

        Raises:
            BusError: `amqp:unauthorized-access`.
        """
        if not any(grant.covers(path, now) for grant in self._grants.values()):
            raise _unauthorized(f"The connection has put no valid token for '{path}'.")


def _unauthorized(description: str) -> BusError:
    return BusError(Condition.UNAUTHORIZED, description)
