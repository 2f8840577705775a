"""What every device store does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.adapters.azure_devices import AzureDevices
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import DeviceId
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import DeviceStore
from shared.ports.stored import Stored
from tests.support.memory_rollouts import MemoryDevices
from tests.support.rollouts import CAMPAIGN, NOON, ODD_DEVICES
from tests.support.tables import new_table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> Iterator[DeviceStore]:
    if request.param == "memory":
        yield MemoryDevices()
        return
    with new_table(request.getfixturevalue("storage_connection"), "devices") as table:
        yield AzureDevices(table)


def new(device: str) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=DeviceId(device), changed_at=NOON), etag="")


def test_rows_come_back_as_written_whatever_the_device_id(store: DeviceStore) -> None:
    records = [
        DeviceRecord(
            device=device,
            sequence=7,
            held_by=CAMPAIGN,
            installed={"gateway.firmware": "2.0", "kiosk-app": "1:1.0-1"},
            deleted_at=NOON,
            changed_at=NOON,
        )
        for device in ODD_DEVICES
    ]
    store.write([Stored(value=record, etag="") for record in records])
    read = store.read_batch(ODD_DEVICES)
    assert [read[device].value for device in ODD_DEVICES] == records


def test_a_row_that_must_be_new_fails_the_whole_write_when_it_is_there(store: DeviceStore) -> None:
    store.write([new("gw-1")])
    with pytest.raises(ConcurrentChange):
        store.write([new("gw-2"), new("gw-1")])
    assert not store.read_batch([DeviceId("gw-2")])


def test_a_row_that_changed_since_it_was_read_fails_the_whole_write(store: DeviceStore) -> None:
    store.write([new("gw-1")])
    before = store.read_batch([DeviceId("gw-1")])[DeviceId("gw-1")]
    held = Stored(value=claim(before.value, CAMPAIGN, now=NOON), etag=before.etag)
    store.write([held])
    with pytest.raises(ConcurrentChange):
        store.write([new("gw-2"), held])
    assert store.read_batch([DeviceId("gw-1")])[DeviceId("gw-1")].value.sequence == 1
