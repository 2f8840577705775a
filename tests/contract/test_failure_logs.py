"""What every store of failure logs does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.adapters.azure_logs import AzureLogs
from shared.domain.ids import CampaignId, DeviceId
from shared.ports.logs import MAX_LOG_BYTES, FailureLogs
from tests.support.memory_logs import MemoryLogs
from tests.support.rollouts import ODD_DEVICES

SPRING, SPRING_2 = CampaignId("spring"), CampaignId("spring-2")


@pytest.fixture
def container(storage_connection: str) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        yield service.create_container(f"logs-{secrets.token_hex(6)}")


@pytest.fixture(params=["memory", "azure"])
def logs(request: pytest.FixtureRequest) -> FailureLogs:
    return MemoryLogs() if request.param == "memory" else AzureLogs(request.getfixturevalue("container"))


def content(logs: FailureLogs, device: DeviceId, campaign: CampaignId = SPRING) -> tuple[int, bytes] | None:
    found = logs.find_newest(campaign, device)
    return None if found is None else (found.attempt, found.content)


def test_a_log_is_kept_byte_for_byte(logs: FailureLogs) -> None:
    anything = bytes(range(256)) * (MAX_LOG_BYTES // 256)
    logs.write(SPRING, DeviceId("a"), 1, anything)
    assert content(logs, DeviceId("a")) == (1, anything)


def test_the_newest_is_that_of_the_highest_attempt(logs: FailureLogs) -> None:
    for attempt in (2, 10, 1):
        logs.write(SPRING, DeviceId("a"), attempt, b"%d" % attempt)
    logs.write(SPRING, DeviceId("a"), 10, b"again")
    assert content(logs, DeviceId("a")) == (10, b"again")


def test_no_device_and_no_campaign_gets_the_log_of_another(logs: FailureLogs) -> None:
    devices = [*ODD_DEVICES, DeviceId("."), DeviceId(".."), DeviceId("a"), DeviceId("A"), DeviceId("aa")]
    for device in devices:
        logs.write(SPRING, device, 1, device.encode())
    assert [content(logs, device) for device in devices] == [(1, device.encode()) for device in devices]
    assert content(logs, DeviceId("a"), SPRING_2) is None
    assert content(logs, DeviceId("b")) is None
