"""The container ``target-lists``."""

from __future__ import annotations

from collections.abc import Iterator

from azure.storage.blob import ContainerClient

from shared.adapters.azure_blob_errors import blob_errors


class AzureTargetLists:
    """A ``TargetLists``; one instance serves all threads of a process."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def stream(self, name: str) -> Iterator[bytes]:
        with blob_errors():
            # The SDK reads every further range under the etag of the first.
            yield from self._container.download_blob(name).chunks()
