"""Going through all twins of a hub, by query."""

from __future__ import annotations

from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification

from shared.adapters.azure_directory import PAGE_DEVICES, query_errors
from shared.domain.ids import device_id
from shared.ports.hub import KnownTwin
from shared.ports.stored import Page
from shared.wire.twins import read_hardware, read_installed, read_sequence


class AzureTwinList:
    """A ``TwinLister``. Queries lag behind twins by up to minutes: nothing may be offered meanwhile."""

    def __init__(self, registry: IoTHubRegistryManager) -> None:
        self._registry = registry

    def list_twins(self, continuation: str = "") -> Page[KnownTwin]:
        with query_errors():
            result = self._registry.query_iot_hub(
                QuerySpecification(query="SELECT * FROM devices"), continuation or None, str(PAGE_DEVICES)
            )
        return Page(items=tuple(map(_known, result.items or [])), continuation=str(result.continuation_token or ""))


def _known(twin: Any) -> KnownTwin:
    desired, reported = twin.properties.desired, twin.properties.reported
    return KnownTwin(
        device=device_id(twin.device_id),
        sequence=max(read_sequence(desired), read_sequence(reported)),
        installed=read_installed(reported),
        hardware=read_hardware(reported),
    )
