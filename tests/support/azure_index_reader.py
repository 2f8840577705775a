"""The TUF client over a storage account's container, as a device is over the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

BASE_URL = "https://updates.example/"


class ContainerFetcher(FetcherInterface):
    """Serves what the container ``metadata`` holds."""

    def __init__(self, storage: str) -> None:
        self._container = BlobServiceClient.from_connection_string(storage).get_container_client("metadata")

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([self._container.download_blob(url.removeprefix(BASE_URL)).readall()])
        except ResourceNotFoundError as error:
            raise DownloadHTTPError(url, 404) from error


def refresh_from_storage(storage: str, root: bytes, folder: Path) -> Updater:
    """A client born with the root that has verified what the container holds."""
    folder.mkdir(exist_ok=True)
    updater = Updater(str(folder), BASE_URL, fetcher=ContainerFetcher(storage), bootstrap=root)
    updater.refresh()
    return updater
