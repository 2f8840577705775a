"""Listing devices with IoT Hub queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification
from msrest.exceptions import ClientException, HttpOperationError

from shared.adapters.azure_access import REFUSED, explain_refusal
from shared.adapters.azure_hub_errors import HUB
from shared.adapters.refusals_told import quota_used_up, throttled
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId, device_id
from shared.ports.errors import PortError, Unavailable
from shared.ports.hub import DevicePage
from shared.wire.twins import read_hardware

PAGE_DEVICES = 100
"""The largest page the query reference promises (IoT Hub query language, twin queries)."""

_QUOTA_USED_UP = 403002


class AzureDirectory:
    """A ``DeviceDirectory``; one instance serves all threads of a process."""

    def __init__(self, registry: IoTHubRegistryManager) -> None:
        self._registry = registry

    def list_page(self, query: str, continuation: str = "") -> DevicePage:
        with query_errors():
            result = self._registry.query_iot_hub(
                QuerySpecification(query=query), continuation or None, str(PAGE_DEVICES)
            )
        found = {_device(item): _hardware(item) for item in result.items or []}
        return DevicePage(
            items=tuple(found),
            continuation=str(result.continuation_token or ""),
            hardware={device: hardware for device, hardware in found.items() if hardware},
        )


def _device(item: Any) -> DeviceId:
    if not isinstance(item.device_id, str):
        raise _refused("its rows carry no deviceId; select * or deviceId")
    return device_id(item.device_id)


def _hardware(item: Any) -> str:
    """Of a twin; empty where the query hands out something else."""
    reported = getattr(item.properties, "reported", None)
    return read_hardware(reported) if isinstance(reported, Mapping) else ""


@contextmanager
def query_errors() -> Iterator[None]:
    """The hub's errors about a query as ours."""
    try:
        yield
    except HttpOperationError as error:
        raise _answer(error) from error
    except ClientException as error:
        raise Unavailable(f"the IoT Hub cannot be reached: {type(error).__name__}") from error


def _answer(error: HttpOperationError) -> DomainError | PortError:
    status, message, code = error.response.status_code, *_read_body(error.response.text)
    if status == 400:
        return _refused(message)
    if status == 429:
        return throttled("iot-hub", "the IoT Hub answers 429 to twin queries")
    if code == _QUOTA_USED_UP:
        return quota_used_up()
    if status in REFUSED:
        return explain_refusal("IoT Hub", HUB, status=status)
    return Unavailable(f"the IoT Hub answered {status} to a twin query")


def _refused(why: str) -> DomainError:
    return DomainError(f"the IoT Hub refuses the query: {why}", code="query_refused")


def _read_body(text: str) -> tuple[str, int]:
    """The hub's message and its six-digit error code, which stands in either of two places."""
    try:
        document = json.loads(text)
        message = str(document.get("Message") or document.get("message") or text)
    except (ValueError, AttributeError):
        return text[:300], 0
    code = str(document.get("errorCode", "")) or message
    return message[:300], _QUOTA_USED_UP if "quotaexceeded" in code.lower() or str(_QUOTA_USED_UP) in code else 0
