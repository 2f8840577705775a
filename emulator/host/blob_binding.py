"""Values for a blob trigger's parameter: an SDK client by reference, or the content itself."""

import json
from collections.abc import Mapping
from typing import Any

from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from emulator.host.functions import Trigger
from emulator.host.rpc import Message, TypedData


async def read_blob_trigger(
    blob: BlobClient, trigger: Trigger, parameters: Mapping[str, str]
) -> tuple[TypedData, dict[str, TypedData]]:
    """Value and metadata for one blob.

    Args:
        parameters: what the trigger's path took from the blob's name.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: the blob is gone.
    """
    properties = await blob.get_blob_properties()
    metadata = _metadata(blob, properties) | {name: TypedData(string=text) for name, text in parameters.items()}
    if trigger.binds_sdk_type:
        return _reference(blob, trigger.text("connection")), metadata
    content = await (await blob.download_blob()).readall()
    return TypedData(bytes=content), metadata


def _reference(blob: BlobClient, connection: str) -> TypedData:
    """The `ModelBindingData` from which the extension makes a BlobClient."""
    content = {
        "Connection": connection,
        "ContainerName": blob.container_name,
        "BlobName": blob.blob_name,
    }
    return TypedData(
        model_binding_data=Message(
            version="1.0",
            source="AzureStorageBlobs",
            content_type="application/json",
            content=json.dumps(content),
        )
    )


def _metadata(blob: BlobClient, properties: BlobProperties) -> dict[str, TypedData]:
    described: dict[str, Any] = {
        "ContentLength": properties.size,
        "ContentType": properties.content_settings.content_type,
        "ETag": properties.etag,
        "LastModified": properties.last_modified.isoformat(),
    }
    return {
        "BlobTrigger": TypedData(string=f"{blob.container_name}/{blob.blob_name}"),
        "Uri": TypedData(string=blob.url),
        "Properties": TypedData(json=json.dumps(described)),
        "Metadata": TypedData(json=json.dumps(properties.metadata or {})),
    }
