"""A simulated fleet over MQTT and TLS against the local hub, with a real index and real downloads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.fleet import Behaviour, DeviceSetup, Environment, FleetThread, Pace, SimulatedFleet
from agent.fleet.behaviour import (
    FAILS_HEALTH,
    FLAPPING,
    OK,
    REPORTS_TWICE,
    SILENT,
    fails_install,
    offline_until,
    rejects,
    slow,
)
from shared.domain.ids import DeviceId
from shared.domain.packages import Package
from shared.wire.twins import write_offer
from tests.support.agent import Factory, running_factory
from tests.support.hub import LocalHub, local_hub
from tests.support.waiting import wait_until

QUICK = Pace(install_s=(0.01, 0.05), restart_s=(0.01, 0.05))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def factory() -> Iterator[Factory]:
    with running_factory() as factory:
        yield factory


def make_fleet(hub: LocalHub, factory: Factory, behaviours: Mapping[str, Behaviour]) -> FleetThread:
    hub.create(*behaviours)
    setups = [
        DeviceSetup(
            connection_string=hub.do(lambda name=name: hub.server.device_connection_string(name)),  # type: ignore[misc]
            properties={"hardware": "rev-b"},
            behaviour=behaviour,
            installed={"engine": "1.0.0"},
        )
        for name, behaviour in behaviours.items()
    ]
    environment = Environment(
        service_url=factory.service.url, root_json=factory.index.root, ca_file=hub.server.ca_path, index_fresh_s=0.5
    )
    return FleetThread(SimulatedFleet(setups, environment, pace=QUICK))


def offer(hub: LocalHub, factory: Factory, package: Package, *names: str, sequence: int = 1) -> None:
    service = hub.service()
    for name in names:
        document = write_offer(factory.offer(package, sequence, device=DeviceId(name)))
        service.update_twin(name, {"properties": {"desired": {"update": document}}})


def reported(hub: LocalHub, name: str) -> dict[str, Any]:
    update: dict[str, Any] = hub.service().get_twin(name).properties.reported.get("update", {})
    return update


def wait_for_states(fleet: FleetThread, wanted: Mapping[str, str]) -> None:
    wait_until(lambda: {name: fleet.states[DeviceId(name)] for name in wanted} == wanted, what=f"{wanted}")


def test_devices_update_as_scripted_and_the_twins_say_what_they_run(hub: LocalHub, factory: Factory) -> None:
    script = {
        "s-ok": (OK, "succeeded", "1.1.0"),
        "s-slow": (slow(0.2), "succeeded", "1.1.0"),
        "s-twice": (REPORTS_TWICE, "succeeded", "1.1.0"),
        "s-flapping": (FLAPPING, "succeeded", "1.1.0"),
        "s-ill": (FAILS_HEALTH, "failed", "1.0.0"),
        "s-clumsy": (fails_install("install_failed"), "failed", "1.0.0"),
        "s-choosy": (rejects("incompatible"), "rejected", "1.0.0"),
        "s-silent": (SILENT, "", "1.0.0"),
        "s-late": (offline_until("morning"), "succeeded", "1.1.0"),
    }
    package = factory.firmware("1.1.0", b"image" * 1000)
    with make_fleet(hub, factory, {name: behaviour for name, (behaviour, _, _) in script.items()}) as fleet:
        offer(hub, factory, package, *script)
        wait_for_states(fleet, {name: state for name, (_, state, _) in script.items() if name != "s-late"})
        assert fleet.states[DeviceId("s-late")] == ""

        fleet.occur("morning")
        wait_for_states(fleet, {"s-late": "succeeded"})

        for name, (_, state, version) in script.items():
            assert fleet.installed(DeviceId(name)) == {"engine": version}, name
            told = reported(hub, name)
            assert told.get("state", "") == state
            assert not state or told["installed"] == {"engine": version}
    assert reported(hub, "s-choosy")["code"] == "incompatible"


def test_a_package_whose_content_fails_the_self_test_is_rolled_back(hub: LocalHub, factory: Factory) -> None:
    names = [f"bad-{number}" for number in range(5)]
    package = factory.firmware("1.2.0", b"x" * 70_000 + b"groundswell-selftest: fail" + b"x" * 70_000)
    with make_fleet(hub, factory, dict.fromkeys(names, OK)) as fleet:
        offer(hub, factory, package, *names)
        wait_for_states(fleet, dict.fromkeys(names, "failed"))

        assert {reported(hub, name)["code"] for name in names} == {"health_check_failed"}
        assert all(fleet.installed(DeviceId(name)) == {"engine": "1.0.0"} for name in names)


def test_a_device_that_goes_back_by_itself_says_so(hub: LocalHub, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    with make_fleet(hub, factory, {"relapsing": OK}) as fleet:
        offer(hub, factory, package, "relapsing")
        wait_for_states(fleet, {"relapsing": "succeeded"})

        fleet.regress(DeviceId("relapsing"))
        wait_until(lambda: reported(hub, "relapsing")["installed"] == {"engine": "1.0.0"})

        assert fleet.installed(DeviceId("relapsing")) == {"engine": "1.0.0"}


def test_the_command_line_runs_a_fleet_and_tells_what_it_ran(hub: LocalHub, factory: Factory, tmp_path: Path) -> None:
    hub.create("cli-1")
    (tmp_path / "root.json").write_bytes(factory.index.root)
    devices = {
        "connection_strings": [hub.do(lambda: hub.server.device_connection_string("cli-1"))],
        "properties": {"hardware": "rev-b"},
        "installed": {"engine": "1.0.0"},
    }
    config = {"service_url": factory.service.url, "root_file": str(tmp_path / "root.json"), "fetching": "once"}
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(config | {"ca_file": str(hub.server.ca_path), "devices": [devices]}))
    offer(hub, factory, factory.firmware("1.1.0"), "cli-1")

    command = [sys.executable, "-m", "agent.fleet", "--config", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: reported(hub, "cli-1").get("state") == "succeeded")
        process.terminate()
        told, _ = process.communicate(timeout=20)

    assert (process.returncode, json.loads(told)) == (0, {"cli-1": {"engine": "1.1.0"}})


def test_a_paused_download_waits_and_a_cancelled_one_ends_quietly(hub: LocalHub, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    factory.service.faults.answers = [(503, {"Retry-After": "0"}), (410, {})]
    with make_fleet(hub, factory, {"calm": OK}) as fleet:
        offer(hub, factory, package, "calm")
        wait_until(lambda: factory.service.exchanges == 2)
        offer(hub, factory, package, "calm", sequence=2)
        wait_for_states(fleet, {"calm": "succeeded"})

    assert fleet.installed(DeviceId("calm")) == {"engine": "1.1.0"}


def test_an_offer_waits_until_the_index_can_be_read(hub: LocalHub, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    factory.service.faults.unavailable = 3
    with make_fleet(hub, factory, {"patient": OK}) as fleet:
        offer(hub, factory, package, "patient")
        wait_for_states(fleet, {"patient": "succeeded"})

    assert factory.service.faults.unavailable == 0


def test_devices_come_back_after_the_hub_dropped_them(hub: LocalHub, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    with make_fleet(hub, factory, {"dropped": OK}) as fleet:
        hub.service().update_device_with_sas("dropped", "*", *_keys(hub, "dropped"), "disabled")
        hub.service().update_device_with_sas("dropped", "*", *_keys(hub, "dropped"), "enabled")
        offer(hub, factory, package, "dropped")
        wait_for_states(fleet, {"dropped": "succeeded"})


def _keys(hub: LocalHub, name: str) -> tuple[str, str]:
    key = hub.service().get_device(name).authentication.symmetric_key
    return key.primary_key, key.secondary_key
