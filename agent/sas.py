"""Shared access signatures, as IoT Hub and its Device Provisioning Service take them for passwords."""

from __future__ import annotations

import base64
import hmac
from urllib.parse import quote


def sign_token(resource: str, key: str, *, expires_s: int, policy: str = "") -> str:
    """A token for a resource, signed with a base64 key.

    Args:
        expires_s: Seconds since 1970.
        policy: Whose key it is; empty for a device's own at its hub.
    """
    encoded = quote(resource, safe="")
    mac = hmac.digest(base64.b64decode(key), f"{encoded}\n{expires_s}".encode(), "sha256")
    signature = quote(base64.b64encode(mac), safe="")
    token = f"SharedAccessSignature sr={encoded}&sig={signature}&se={expires_s}"
    return f"{token}&skn={policy}" if policy else token
