"""Posting a campaign over a list of many ids: does the answer come in time, and is the manifest right?

``python -m bench.targets --devices 100000``. No device is registered, and nobody is offered anything: the campaign's
schedule starts tomorrow.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from azure.data.tables import TableClient
from azure.storage.blob import BlobServiceClient

from bench.wave import publish_firmware
from cli.local import LocalStack, local_stack
from demo.artifacts import FIRMWARE, FIRMWARE_VERSION
from demo.operator import Operator
from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_manifests import AzureManifests
from shared.domain.campaign_specs import digest_devices
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.listings import ring_start_of, sort_on_ring
from shared.domain.planning import PlanningPhase

HTTP_LIMIT_S = 230.0
"""As long as Azure's front end waits for a function's answer (Azure Functions, hosting options, function timeout)."""

PATIENCE_S = 3_600.0
EXCLUDED = 5
WAVES = [{"count": 10}, {"percent": 10}, {"rest": True}]


def main() -> int:
    """Print how long each part took; 1 where an answer came too late or a manifest is not what was posted."""
    parser = argparse.ArgumentParser(prog="bench.targets", description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--claim", action="store_true", help="wait until all rollout rows are there, and count them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, local_stack(Path(folder) / "state") as stack:
        os.environ["REQUESTS_CA_BUNDLE"] = stack.settings["REQUESTS_CA_BUNDLE"]
        publish_firmware(stack, Operator(stack), Path(folder))
        return _Bench(stack, arguments.devices).run(claim=arguments.claim)


class _Bench:
    def __init__(self, stack: LocalStack, count: int) -> None:
        self._stack = stack
        self._blobs = BlobServiceClient.from_connection_string(stack.settings["Storage"])
        self._campaigns = AzureCampaigns(TableClient.from_connection_string(stack.settings["Storage"], "campaigns"))
        self._devices = [f"device-{number:07d}@#" for number in range(count)]
        random.Random(count).shuffle(self._devices)

    def run(self, *, claim: bool) -> int:
        """Post, look at the manifest and, where wanted, wait for the rows."""
        content = "".join(f"{device}\n" for device in [*self._devices, self._devices[0]])
        self._blobs.get_blob_client("target-lists", "many.txt").upload_blob(content)
        print(f"a list of {len(self._devices):,} ids, {len(content) / 1e6:.1f} MB")
        answer_s, campaign = self._post()
        began = time.monotonic()
        _wait(lambda: self._campaign(campaign).planning.phase not in (PlanningPhase.LISTING, PlanningPhase.ORDERING))
        print(f"POST /campaigns                {answer_s:6.1f} s of {HTTP_LIMIT_S:g} s")
        print(f"ordered, cut into batches      {time.monotonic() - began:6.1f} s")
        wrong = self._find_wrong(self._campaign(campaign))
        if claim and not wrong:
            _wait(lambda: self._campaign(campaign).planning.phase is PlanningPhase.DONE)
            print(f"all rollout rows               {time.monotonic() - began:6.1f} s")
            wrong = self._find_miscounts(campaign)
        print("; ".join(wrong) or "the manifest is what was posted, each device is in one wave and one batch")
        return 1 if wrong or answer_s > HTTP_LIMIT_S else 0

    def _post(self) -> tuple[float, CampaignId]:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        body = {
            "name": "many",
            "package": {"name": FIRMWARE, "version": FIRMWARE_VERSION},
            "targets": {"list": "many.txt", "exclude": {"devices": self._devices[:EXCLUDED]}},
            "waves": WAVES,
            "schedule": {"start_at": tomorrow.isoformat()},
        }
        headers = {"x-functions-key": self._stack.cloud.host_key}
        began = time.monotonic()
        answer = requests.post(f"{self._stack.api}/campaigns", json=body, headers=headers, timeout=2 * HTTP_LIMIT_S)
        answer.raise_for_status()
        return time.monotonic() - began, CampaignId(answer.json()["id"])

    def _campaign(self, campaign: CampaignId) -> Campaign:
        return self._campaigns.get(campaign).value

    def _find_wrong(self, campaign: Campaign) -> list[str]:
        """What is not as it must be in manifest, waves and batches."""
        manifests = AzureManifests(self._blobs.get_container_client("manifests"))
        manifest = manifests.read_manifest(campaign.id)
        expected = sort_on_ring(map(DeviceId, self._devices[EXCLUDED:]), ring_start_of(campaign))
        batched: Counter[DeviceId] = Counter()
        for wave in campaign.waves:
            batched.update(_members(campaign, wave.number, wave.batches, manifests))
        spans = [(wave.start, wave.stop) for wave in campaign.waves]
        checks = {
            "the manifest is not the posted ids in ring order": manifest == expected,
            "its digest is another": campaign.planning.manifest_sha256 == digest_devices(manifest),
            "the waves do not partition it": _is_partition(spans, len(manifest)),
            "the batches do not hold each device once": batched == Counter(expected),
        }
        return [complaint for complaint, holds in checks.items() if not holds]

    def _find_miscounts(self, campaign: CampaignId) -> list[str]:
        shown: dict[str, Any] = Operator(self._stack).campaign(campaign)
        counted = sum(sum(wave["counters"].values()) for wave in shown["waves"])
        expected = len(self._devices) - EXCLUDED
        return [] if counted == expected else [f"{counted} rows are counted, not {expected}"]


def _members(campaign: Campaign, wave: int, batches: int, manifests: AzureManifests) -> list[DeviceId]:
    found: list[list[DeviceId]] = []
    part = 0
    while len(found) < batches:
        found += manifests.read_members(campaign.id, wave, part)
        part += 1
    return [device for members in found for device in members]


def _is_partition(spans: Sequence[tuple[int, int]], total: int) -> bool:
    ends = [0, *(stop for _, stop in spans)]
    return [start for start, _ in spans] == ends[:-1] and ends[-1] == total


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_S:g} s")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
