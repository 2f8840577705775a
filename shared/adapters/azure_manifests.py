"""The ``manifests`` container on Azure Blob storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from azure.core import MatchConditions
from azure.storage.blob import ContainerClient

from shared.adapters.azure_blob_errors import blob_errors
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.waves import DeviceBatch
from shared.ports.errors import ConcurrentChange, NotThere
from shared.ports.operations import DraftBlob
from shared.wire import manifests as wire


class AzureManifests:
    """A ``ManifestStore`` and the ``DraftBlobs``; one instance serves all threads of a process."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def write_page(self, campaign: CampaignId, page: int, devices: Iterable[DeviceId]) -> None:
        self._write(wire.page_blob(campaign, page), wire.write_devices(devices))

    def read_pages(self, campaign: CampaignId, stop: int, *, start: int = 0) -> Iterator[list[DeviceId]]:
        for page in range(start, stop):
            yield wire.read_devices(self._read(wire.page_blob(campaign, page)))

    def write_manifest(self, campaign: CampaignId, devices: Iterable[DeviceId], *, edition: str = "") -> None:
        self._write(wire.manifest_blob(campaign, edition), wire.write_devices(devices))

    def read_manifest(self, campaign: CampaignId, *, edition: str = "") -> list[DeviceId]:
        return wire.read_devices(self._read(wire.manifest_blob(campaign, edition)))

    def write_members(self, campaign: CampaignId, wave: int, part: int, members: Iterable[list[DeviceId]]) -> None:
        self._write(wire.members_blob(campaign, wave, part), wire.write_members(members))

    def read_members(self, campaign: CampaignId, wave: int, part: int) -> list[list[DeviceId]]:
        return wire.read_members(self._read(wire.members_blob(campaign, wave, part)))

    def write_hardware(self, campaign: CampaignId, wave: int, part: int, known: Mapping[DeviceId, str]) -> None:
        self._write(wire.hardware_blob(campaign, wave, part), wire.write_hardware(known))

    def read_hardware(self, campaign: CampaignId, wave: int, part: int) -> Mapping[DeviceId, str]:
        try:
            return wire.read_hardware(self._read(wire.hardware_blob(campaign, wave, part)))
        except NotThere:
            return {}

    def write_batches(self, campaign: CampaignId, wave: int, batches: Iterable[DeviceBatch]) -> None:
        self._write(wire.batches_blob(campaign, wave), wire.write_batches(batches))

    def read_batches(self, campaign: CampaignId, wave: int) -> list[DeviceBatch]:
        return wire.read_batches(self._read(wire.batches_blob(campaign, wave)))

    def list_drafts(self) -> Iterator[DraftBlob]:
        with blob_errors():
            for blob in self._container.list_blobs(name_starts_with=wire.DRAFT_PREFIX):
                operation = OperationId(wire.owner_of(blob.name))
                etag = str(blob.etag)
                yield DraftBlob(operation=operation, name=blob.name, etag=etag, changed_at=blob.last_modified)

    def delete_draft(self, blob: DraftBlob) -> None:
        try:
            with blob_errors():
                self._container.delete_blob(blob.name, etag=blob.etag, match_condition=MatchConditions.IfNotModified)
        except (NotThere, ConcurrentChange):
            return

    def _write(self, name: str, content: bytes) -> None:
        with blob_errors():
            self._container.upload_blob(name, content, overwrite=True)

    def _read(self, name: str) -> bytes:
        with blob_errors():
            return self._container.download_blob(name).readall()
