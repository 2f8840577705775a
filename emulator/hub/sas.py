"""Shared access signatures: ``SharedAccessSignature sr=<resource>&sig=<hmac>&se=<expiry>[&skn=<policy>]``."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

_SCHEME = "SharedAccessSignature "


class BadSignature(Exception):
    """The token cannot be read, has expired, or was not made with any of the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SasToken:
    """A token as it came.

    Attributes:
        signed_resource: ``sr`` exactly as sent; the signature covers its encoded form.
        resource: ``sr`` decoded, such as ``localhost:8443`` or ``hub/devices/d1``.
        policy: ``skn``, empty for a device's own key.
    """

    signed_resource: str
    resource: str
    signature: bytes
    expires_s: int
    policy: str

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires_s, UTC)

    def check(self, keys: Iterable[str], now: datetime) -> None:
        """Accept a token that is not expired and was signed with one of these base64 keys.

        Raises:
            BadSignature: It is not.
        """
        if self.expires_s <= now.timestamp():
            raise BadSignature("the token has expired")
        message = f"{self.signed_resource}\n{self.expires_s}".encode()
        if not any(hmac.compare_digest(self.signature, _sign(key, message)) for key in keys):
            raise BadSignature("the signature does not match")


def read_token(text: str) -> SasToken:
    """Parse a token.

    Raises:
        BadSignature: It is no token.
    """
    if not text.startswith(_SCHEME):
        raise BadSignature("no shared access signature")
    fields = dict(field.partition("=")[::2] for field in text.removeprefix(_SCHEME).split("&"))
    try:
        return SasToken(
            signed_resource=fields["sr"],
            resource=unquote(fields["sr"]),
            signature=base64.b64decode(unquote(fields["sig"]), validate=True),
            expires_s=_read_expiry(fields["se"]),
            policy=unquote(fields.get("skn", "")),
        )
    except (KeyError, ValueError, binascii.Error) as error:
        raise BadSignature(f"the shared access signature cannot be read: {error!r}") from error


_LATEST_EXPIRY_S = 253_402_300_799
"""The end of the year 9999, the last a datetime can hold."""


def _read_expiry(text: str) -> int:
    return min(int(text), _LATEST_EXPIRY_S)


def _sign(key: str, message: bytes) -> bytes:
    return hmac.digest(base64.b64decode(key), message, hashlib.sha256)
