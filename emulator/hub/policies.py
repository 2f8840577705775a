"""The hub's shared access policies and who may do what.

Policies and permissions: IoT Hub developer guide, "Control access to IoT Hub by using shared access signatures".
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import Flag, auto

from emulator.hub.errors import Code, HubError
from emulator.hub.sas import BadSignature, SasToken, read_token


class Permission(Flag):
    """What a policy allows."""

    REGISTRY_READ = auto()
    REGISTRY_WRITE = auto()
    SERVICE_CONNECT = auto()
    DEVICE_CONNECT = auto()


_REGISTRY = Permission.REGISTRY_READ | Permission.REGISTRY_WRITE
GRANTS: Mapping[str, Permission] = {
    "iothubowner": _REGISTRY | Permission.SERVICE_CONNECT | Permission.DEVICE_CONNECT,
    "service": Permission.SERVICE_CONNECT,
    "device": Permission.DEVICE_CONNECT,
    "registryRead": Permission.REGISTRY_READ,
    "registryReadWrite": _REGISTRY,
}


def new_key() -> str:
    """256 random bits, base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


class AccessPolicies:
    """The five built-in policies with keys of their own.

    Args:
        keys: policy name to base64 key; made anew where absent.
    """

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self._keys = {name: (keys or {}).get(name) or new_key() for name in GRANTS}

    @property
    def keys(self) -> Mapping[str, str]:
        return self._keys

    def authorize(self, header: str, *, host_names: frozenset[str], needed: Permission, now: datetime) -> None:
        """Check the ``Authorization`` header of a service call.

        Args:
            host_names: the names (lower case, without port) under which the hub goes.

        Raises:
            HubError: 401002.
        """
        try:
            token = read_token(header)
            key = self._keys.get(token.policy)
            if key is None:
                raise BadSignature(f"there is no policy {token.policy!r}")
            token.check((key,), now)
        except BadSignature as error:
            raise HubError(Code.UNAUTHORIZED, "Unauthorized") from error
        if host_of(token) not in host_names or needed not in GRANTS[token.policy]:
            raise HubError(Code.UNAUTHORIZED, "Unauthorized")


def host_of(token: SasToken) -> str:
    """The host that a token was made for, lower case and without port."""
    return token.resource.partition("/")[0].partition(":")[0].lower()
