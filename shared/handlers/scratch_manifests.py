"""Manifests that live as long as one answer: a dry run of a list needs no blob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.waves import DeviceBatch


class ScratchManifests:
    """A ``ManifestStore`` of one campaign."""

    def __init__(self) -> None:
        self._pages: dict[int, list[DeviceId]] = {}
        self._manifest: list[DeviceId] = []
        self._members: dict[tuple[int, int], list[list[DeviceId]]] = {}
        self._hardware: dict[tuple[int, int], dict[DeviceId, str]] = {}
        self._batches: dict[int, list[DeviceBatch]] = {}

    def write_page(self, campaign: CampaignId, page: int, devices: Iterable[DeviceId]) -> None:  # noqa: ARG002
        self._pages[page] = list(devices)

    def read_pages(self, campaign: CampaignId, stop: int, *, start: int = 0) -> Iterator[list[DeviceId]]:  # noqa: ARG002
        yield from islice((self._pages[page] for page in sorted(self._pages)), start, stop)

    def write_manifest(self, campaign: CampaignId, devices: Iterable[DeviceId], *, edition: str = "") -> None:  # noqa: ARG002
        self._manifest = list(devices)

    def read_manifest(self, campaign: CampaignId, *, edition: str = "") -> list[DeviceId]:  # noqa: ARG002
        return self._manifest

    def write_members(self, campaign: CampaignId, wave: int, part: int, members: Iterable[list[DeviceId]]) -> None:  # noqa: ARG002
        self._members[wave, part] = list(members)

    def read_members(self, campaign: CampaignId, wave: int, part: int) -> list[list[DeviceId]]:  # noqa: ARG002
        return self._members[wave, part]

    def write_hardware(self, campaign: CampaignId, wave: int, part: int, known: Mapping[DeviceId, str]) -> None:  # noqa: ARG002
        self._hardware[wave, part] = dict(known)

    def read_hardware(self, campaign: CampaignId, wave: int, part: int) -> Mapping[DeviceId, str]:  # noqa: ARG002
        return self._hardware.get((wave, part), {})

    def write_batches(self, campaign: CampaignId, wave: int, batches: Iterable[DeviceBatch]) -> None:  # noqa: ARG002
        self._batches[wave] = list(batches)

    def read_batches(self, campaign: CampaignId, wave: int) -> list[DeviceBatch]:  # noqa: ARG002
        return self._batches[wave]
