"""What every way of writing twins does, against a hub that the real SDK talks to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.hub import HubConfig
from shared.adapters.azure_twin_reader import AzureTwinReader
from shared.adapters.azure_twins_bulk import AzureTwinBulk
from shared.adapters.azure_twins_patch import MAX_OUTAGES, PARALLEL_WRITES, AzureTwinPatches
from shared.domain.ids import DeviceId
from shared.ports.errors import QuotaExceeded, Unavailable
from shared.ports.hub import TwinOutcome, TwinWrite, TwinWriter
from shared.telemetry.execution import about, execution
from tests.support.hub import LocalHub, local_hub
from tests.support.memory_hub import MemoryHub
from tests.support.spans import records_sent

ODD_CHARACTERS = "-.%_*?!(),:=@$'#"
T = TwinOutcome


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(params=["patch", "bulk"])
def writer(request: pytest.FixtureRequest, hub: LocalHub) -> TwinWriter:
    kinds: dict[str, Any] = {"patch": AzureTwinPatches, "bulk": AzureTwinBulk}
    writer: TwinWriter = kinds[request.param](hub.service())
    return writer


def new_devices(hub: LocalHub, count: int, suffix: str = "") -> list[DeviceId]:
    devices = [DeviceId(f"gw-{secrets.token_hex(4)}{suffix}") for _ in range(count)]
    hub.create(*devices)
    return devices


def desired_of(hub: LocalHub, device: DeviceId) -> dict[str, Any]:
    desired = hub.service().get_twin(device).properties.desired
    return {key: value for key, value in desired.items() if not key.startswith("$")}


def write(device: DeviceId, **desired: Any) -> TwinWrite:
    return TwinWrite(device=device, desired=desired)


def test_a_patch_merges_and_none_takes_a_property_away(hub: LocalHub, writer: TwinWriter) -> None:
    [device] = new_devices(hub, 1)
    writer.write([write(device, kept=1, update={"campaign": "spring-fix", "proof": "x"})])
    [result] = writer.write([write(device, update={"proof": "y"})])
    assert result.outcome is T.WRITTEN
    assert desired_of(hub, device) == {"kept": 1, "update": {"campaign": "spring-fix", "proof": "y"}}
    writer.write([write(device, update=None)])
    assert desired_of(hub, device) == {"kept": 1}


def test_results_come_in_order_and_one_bad_device_spares_the_others(hub: LocalHub, writer: TwinWriter) -> None:
    first, bad, last = new_devices(hub, 3)
    writes = [
        write(first, update={"n": 1}),
        write(DeviceId("nobody"), update={"n": 2}),
        write(bad, update={"too_long": "x" * 5000}),
        write(last, update={"n": 4}),
    ]
    results = writer.write(writes)
    assert [result.device for result in results] == [one.device for one in writes]
    assert [result.outcome for result in results] == [T.WRITTEN, T.NO_DEVICE, T.REFUSED, T.WRITTEN]
    assert results[2].detail
    assert desired_of(hub, last) == {"update": {"n": 4}}


def test_a_device_id_may_hold_every_allowed_character(hub: LocalHub, writer: TwinWriter) -> None:
    [device] = new_devices(hub, 1, suffix=ODD_CHARACTERS)
    [result] = writer.write([write(device, update={"n": 1})])
    assert result.outcome is T.WRITTEN
    assert desired_of(hub, device) == {"update": {"n": 1}}
    assert AzureTwinReader(hub.service()).read_reported(device) is not None


def test_nothing_to_write_writes_nothing(writer: TwinWriter) -> None:
    assert writer.write([]) == []


@pytest.mark.parametrize("kind", [AzureTwinPatches, AzureTwinBulk])
def test_throttling_is_a_result_and_is_asked_for_once(tmp_path_factory: pytest.TempPathFactory, kind: Any) -> None:
    config = HubConfig(throttles="on", burst_s=1.0)
    with local_hub(tmp_path_factory.mktemp("busy"), config) as hub:
        hub.do(lambda: hub.server.throttle.set("off"))
        devices = new_devices(hub, 80)
        hub.do(lambda: hub.server.throttle.set("on"))
        writer = kind(hub.service())
        first = writer.write([write(device, update={"n": 1}) for device in devices])
        second = writer.write([write(device, update={"n": 2}) for device in devices])
        outcomes = {result.outcome for result in [*first, *second]}
        assert outcomes == {T.WRITTEN, T.THROTTLED}
        refused_calls = hub.server.throttle.refused.total() / (80 if kind is AzureTwinBulk else 1)
        # Writers already under way when the first 429 comes may each get one of their own; nobody asks again.
        assert refused_calls <= 20


@pytest.mark.parametrize("kind", [AzureTwinPatches, AzureTwinBulk])
def test_a_daily_quota_used_up_is_raised(tmp_path_factory: pytest.TempPathFactory, kind: Any) -> None:
    with local_hub(tmp_path_factory.mktemp("poor")) as hub:
        devices = new_devices(hub, 5)
        hub.do(lambda: setattr(hub.server.throttle, "daily_messages", 0))
        with pytest.raises(QuotaExceeded):
            kind(hub.service()).write([write(device, update={"n": 1}) for device in devices])


@pytest.mark.parametrize("kind", [AzureTwinPatches, AzureTwinBulk])
def test_a_hub_that_is_gone_is_a_result(tmp_path_factory: pytest.TempPathFactory, kind: Any) -> None:
    with local_hub(tmp_path_factory.mktemp("gone")) as hub:
        service = hub.service()
    [result] = kind(service).write([write(DeviceId("gw-1"), update={"n": 1})])
    assert result.outcome is T.UNAVAILABLE
    with pytest.raises(Unavailable):
        AzureTwinReader(service).read_reported(DeviceId("gw-1"))


def test_a_hub_that_is_gone_is_not_tried_for_every_device_of_a_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    with local_hub(tmp_path_factory.mktemp("gone")) as hub:
        service = hub.service()
    results = AzureTwinPatches(service).write([write(DeviceId(f"gw-{number}"), update={}) for number in range(99)])
    assert {result.outcome for result in results} == {T.UNAVAILABLE}
    tried = [result for result in results if result.detail != "not tried"]
    # Those under way when the last of the failures came are the writers' own.
    assert len(tried) <= MAX_OUTAGES + PARALLEL_WRITES


def test_a_twin_is_read_with_its_metadata_and_a_stranger_is_none(hub: LocalHub) -> None:
    [device] = new_devices(hub, 1)
    reader = AzureTwinReader(hub.service())
    reported = reader.read_reported(device)
    assert reported is not None
    assert {"$metadata", "$version"} <= reported.keys()
    assert reader.read_reported(DeviceId("nobody")) is None


def test_the_hub_in_memory_gives_the_same_results() -> None:
    hub = MemoryHub(["gw-1", "gw-2"])
    hub.room = 1
    results = hub.write([write(DeviceId(device), update={"n": 1}) for device in ("gw-1", "nobody", "gw-2")])
    assert [result.outcome for result in results] == [T.WRITTEN, T.NO_DEVICE, T.THROTTLED]
    assert hub.desired[DeviceId("gw-1")] == {"update": {"n": 1}}


def test_what_a_thread_of_the_pool_logs_is_about_the_present_batch(hub: LocalHub) -> None:
    """A policy that may not write twins is refused; whoever reads of it wants to know the campaign."""
    [device] = new_devices(hub, 1)
    said: list[tuple[str, dict[str, object]]] = []
    with records_sent(lambda text, fields: said.append((text, fields))), execution("on_device_batch"):
        about(campaign="spring-fix", batch=3)
        [result] = AzureTwinPatches(hub.service("device")).write([write(device, update=1)])

    assert result.outcome is T.UNAVAILABLE
    [fields] = [fields for text, fields in said if text.startswith("a twin was not written")]
    assert fields == {"groundswell.campaign": "spring-fix", "groundswell.batch": 3}
