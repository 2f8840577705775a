"""Reading twins, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import ClientException, HttpOperationError

from shared.adapters.azure_hub_errors import NO_DEVICE, port_error, read_refusal, without_retries
from shared.domain.ids import DeviceId


class AzureTwinReader:
    """A ``TwinReader``; one instance serves all threads of a process."""

    def __init__(self, registry: IoTHubRegistryManager) -> None:
        self._registry = without_retries(registry)

    def read_reported(self, device: DeviceId) -> Mapping[str, Any] | None:
        try:
            twin = self._registry.get_twin(device)
        except ClientException as error:
            if isinstance(error, HttpOperationError) and read_refusal(error)[1] in NO_DEVICE:
                return None
            raise port_error(error) from error
        reported: Mapping[str, Any] = twin.properties.reported
        return reported
