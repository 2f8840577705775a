"""How a device enrols with a Device Provisioning Service: its registration id, and its key out of its group's key."""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from shared.domain.errors import InvalidId

# Device Provisioning Service, "terminology": up to 128 of these, the last one a letter, a digit or a hyphen.
_REGISTRATION_ID = re.compile(r"[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9-]")
_KEY_BYTES = range(16, 65)


def registration_id(text: str) -> str:
    """The text as a registration id.

    Raises:
        InvalidId: It cannot be one.
    """
    if not _REGISTRATION_ID.fullmatch(text):
        raise InvalidId(
            f"{text[:140]!r} is no registration id: use 1-128 of A-Z a-z 0-9 and -._: with a letter, digit or - last"
        )
    return text


def check_key(text: str) -> bytes:
    """The bytes of a symmetric key in base64.

    Raises:
        InvalidId: It is not base64 of 16 to 64 bytes. The text is not told: it may be a key with a slip in it.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _KEY_BYTES:
        raise InvalidId("a symmetric key is base64 of 16 to 64 bytes")
    return key


def derive_device_key(group_key: str, registration: str) -> str:
    """The key of one device of an enrolment group, in base64.

    HMAC-SHA256 of the registration id under the group's key (Device Provisioning Service, "symmetric key attestation").

    Raises:
        InvalidId: Key or id cannot be used.
    """
    mac = hmac.digest(check_key(group_key), registration_id(registration).encode(), "sha256")
    return base64.b64encode(mac).decode()
