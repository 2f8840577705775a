"""What every device store does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.adapters.azure_devices import AzureDevices
from shared.domain.devices import DeviceRecord, claim, restore, settle
from shared.domain.ids import DeviceId
from shared.domain.listings import sort_on_ring
from shared.domain.rollouts import RolloutState
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import DeviceStore
from shared.ports.stored import Stored
from shared.wire.twins import PROPERTY, read_installed, read_sequence
from tests.support.memory_rollouts import MemoryDevices
from tests.support.rollouts import CAMPAIGN, NOON, ODD_DEVICES, make_rollout
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
            known_since=NOON,
            deleted_at=NOON,
            changed_at=NOON,
        )
        for device in ODD_DEVICES
    ]
    store.write([Stored(value=record, etag="") for record in records])
    read = store.read_batch(ODD_DEVICES)
    assert [read[device].value for device in ODD_DEVICES] == records


def test_whatever_devices_say_of_themselves_keeps_nobody_elses_row_from_being_written(store: DeviceStore) -> None:
    """One write holds the rows of 99 devices: hardware and all that is installed from twins, versions from reports."""
    odd = replace(new("one").value, hardware="gw-\ud800")
    boastful = new("two").value
    for number in range(20):
        ended = make_rollout("two", RolloutState.REJECTED, sequence=0, installed_version="\N{SNOWMAN}" * 1300)
        boastful = settle(boastful, ended, f"package-{number}", now=NOON)
    reported = {PROPERTY: {"sequence": 2**52, "installed": {f"p{n}": "\N{SNOWMAN}" * 9 for n in range(900)}}}
    full = restore(
        new("three").value,
        sequence=read_sequence(reported),
        installed={**read_installed(reported), **{f"q{n}": "1" * 20 for n in range(900)}},
        hardware="",
        now=NOON,
    )
    records = [odd, boastful, full, new("honest").value]
    store.write([Stored(value=claim(record, CAMPAIGN, now=NOON), etag="") for record in records])
    read = store.read_batch(sort_on_ring([record.device for record in records], 0))
    assert {row.value.sequence for row in read.values()} == {1}
    assert read[odd.device].value.hardware.startswith("gw-")
    assert len(read[boastful.device].value.installed) == 20


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
