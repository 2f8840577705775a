"""The hub's REST API as the check asks it: the SDK and the entries that the service uses, refusals in the open."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification, Twin, TwinProperties
from msrest.exceptions import ClientException, HttpOperationError

from shared.adapters.azure_hub_errors import NO_DEVICE, THROTTLED, read_refusal, without_retries
from shared.adapters.azure_twins_bulk import bulk_entry
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId
from shared.ports.hub import TwinWrite

NO_ACCESS = frozenset({401, 403})
_STATUS = "disabled"


class CheckFailed(DomainError):
    """The check could not be made; the message says what to do."""

    code = "check_failed"


class Refusal(Exception):
    """The hub answered, and refused.

    Attributes:
        headers: All of the answer.
    """

    def __init__(self, *, status: int, code: str, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()

    @property
    def is_about_access(self) -> bool:
        """Whether it is the identity that is refused; the daily quota shares its status."""
        return self.status in NO_ACCESS and "Quota" not in self.code and "403002" not in self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What services write."""

    desired: dict[str, Any]
    tags: dict[str, Any]


class HubCalls:
    """One device's side of a hub.

    Attributes:
        ended: While it is set, no call is begun.
    """

    def __init__(self, registry: IoTHubRegistryManager, device: DeviceId) -> None:
        self._registry = without_retries(registry)
        self.device = device
        self.ended = Event()
        self._keys = tuple(_base64(secrets.token_bytes(32)) for _ in range(2))

    def make_device(self) -> None:
        """Make the device, disabled, with keys that nobody is told."""
        self._call(self._registry.create_device_with_sas, self.device, *self._keys, _STATUS)

    def enable_device(self) -> None:
        """Let the made device connect."""
        self._call(self._registry.update_device_with_sas, self.device, "*", *self._keys, "enabled")

    def device_key(self) -> str:
        """What the device signs in with."""
        found = self._call(self._registry.get_device, self.device)
        return str(found.authentication.symmetric_key.primary_key)

    def delete_device(self) -> None:
        """Delete the device, if it is there."""
        try:
            self._call(self._registry.delete_device, self.device)
        except Refusal as refusal:
            if refusal.code not in NO_DEVICE:
                raise

    def read_identity(self) -> tuple[object, ...]:
        """Keys and status, to be compared only."""
        found = self._call(self._registry.get_device, self.device)
        key = found.authentication.symmetric_key
        return found.status, found.authentication.type, key.primary_key, key.secondary_key

    def read_twin(self) -> DeviceState:
        """Tags and desired properties."""
        twin = self._call(self._registry.get_twin, self.device)
        desired = {key: value for key, value in twin.properties.desired.items() if not key.startswith("$")}
        return DeviceState(desired=desired, tags=dict(twin.tags or {}))

    def query(self) -> None:
        """Query for the device; an answer may lag by minutes, so what it says does not matter."""
        query = QuerySpecification(query="SELECT deviceId FROM devices WHERE deviceId = 'groundswell-check'")
        self._call(self._registry.query_iot_hub, query, None, "1")

    def patch(self, desired: Mapping[str, Any], tags: Mapping[str, Any] | None = None) -> None:
        """Write the twin as ``TWIN_WRITER=patch`` does."""
        twin = Twin(properties=TwinProperties(desired=dict(desired)), tags=dict(tags) if tags else None)
        self._call(self._registry.update_twin, self.device, twin)

    def bulk(self, desired: Mapping[str, Any], *also: DeviceId, etag: str | None = None) -> list[Any]:
        """Write the twin as ``TWIN_WRITER=bulk`` does, with other devices in the same call; the hub's complaints.

        Raises:
            Refusal: The whole call was refused.
        """
        entries = [bulk_entry(TwinWrite(device=device, desired=desired)) for device in (*also, self.device)]
        for entry in entries:
            entry.twin_etag = etag
        result = self._call(self._registry.bulk_create_or_update_devices, entries)
        if not result.is_successful and not result.errors:
            # The SDK reads a refusal of the whole call (400) as an answer without entries.
            raise Refusal(status=400, code="", message="the whole bulk call was refused", headers={})
        return list(result.errors or [])

    def bulk_alone(self, desired: Mapping[str, Any]) -> None:
        """The same for this device alone.

        Raises:
            Refusal: The call or its only entry was refused.
        """
        for error in self.bulk(desired):
            code, message = str(error.error_code), str(error.error_status)
            raise Refusal(status=_status_of_entry(code), code=code, message=message, headers={})

    def _call(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        if self.ended.is_set():
            raise CheckFailed("ended before all was asked")
        try:
            return operation(*arguments)
        except HttpOperationError as error:
            status, code, message = read_refusal(error)
            raise Refusal(status=status, code=code, message=message, headers=dict(error.response.headers)) from error
        except ClientException as error:
            raise CheckFailed(f"the hub does not answer ({type(error).__name__}): is its name right?") from error
        except ClientAuthenticationError as error:
            raise CheckFailed("nobody is signed in: az login, or give a connection string") from error


def open_hub(where: str) -> IoTHubRegistryManager:
    """The hub behind a connection string, or a host name with whoever is signed in.

    Raises:
        CheckFailed: It is neither, or nobody is signed in.
    """
    if not where:
        raise CheckFailed("say which hub: --hub, or set IotHub")
    try:
        if "=" in where:
            return IoTHubRegistryManager.from_connection_string(where)
        return IoTHubRegistryManager.from_token_credential(where, DefaultAzureCredential())
    except ClientAuthenticationError as error:
        raise CheckFailed("nobody is signed in: az login, or give a connection string") from error
    except (ValueError, KeyError) as error:
        raise CheckFailed(f"--hub is no connection string and no host name: {error}") from error


def host_of(where: str) -> str:
    """The host name in a connection string, or that it is, without its port."""
    fields = dict(part.split("=", 1) for part in where.split(";") if "=" in part)
    return fields.get("HostName", where).partition(":")[0]


def _status_of_entry(code: str) -> int:
    """The HTTP status that a call with this code would have; entries carry none."""
    if code in THROTTLED:
        return 429
    return 401 if "Unauthorized" in code or code.startswith("401") else 400


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
