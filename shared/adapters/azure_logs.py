"""The ``logs`` container on Azure Blob storage."""

from __future__ import annotations

from azure.storage.blob import ContainerClient, ContentSettings

from shared.adapters.azure_blob_errors import blob_errors
from shared.domain.ids import CampaignId, DeviceId
from shared.ports.errors import NotThere
from shared.ports.logs import FailureLog
from shared.wire.keys import row_key

# Whoever opens a blob in a browser gets a file, not a page.
_CONTENT = ContentSettings(content_type="text/plain; charset=utf-8", content_disposition="attachment")


class AzureLogs:
    """A ``FailureLogs``; names are ``<campaign>/<row key of the device>/<attempt>.log``."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def write(self, campaign: CampaignId, device: DeviceId, attempt: int, content: bytes) -> None:
        name = f"{_folder(campaign, device)}{attempt:06d}.log"
        with blob_errors():
            self._container.upload_blob(name, content, overwrite=True, content_settings=_CONTENT)

    def find_newest(self, campaign: CampaignId, device: DeviceId) -> FailureLog | None:
        folder = _folder(campaign, device)
        try:
            with blob_errors():
                names = list(self._container.list_blob_names(name_starts_with=folder))
                if not names:
                    return None
                blob = self._container.download_blob(names[-1])
                content = blob.readall()
        except NotThere:
            return None
        attempt = int(names[-1].removeprefix(folder).removesuffix(".log"))
        return FailureLog(attempt=attempt, content=content, written_at=blob.properties.last_modified)


def _folder(campaign: CampaignId, device: DeviceId) -> str:
    return f"{campaign}/{row_key(device)}/"
