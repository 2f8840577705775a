"""The real agent process on the real device SDK, against the local hub, a real index and a real download server."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.iot_hub import HubAddress, IotHubChannel
from agent.ports import ChannelRefused, ChannelThrottled, Event
from shared.domain.ids import DeviceId
from shared.domain.offers import Offer
from shared.wire.twins import write_offer
from tests.support.agent import Factory, running_factory
from tests.support.agent_process import AgentProcess
from tests.support.agent_service import new_signer
from tests.support.hub import LocalHub, local_hub
from tests.support.waiting import wait_until

ENDS = ("succeeded", "failed", "rejected")
NAMES = count(1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def factory() -> Iterator[Factory]:
    with running_factory() as factory:
        yield factory


class Device(AgentProcess):
    """One device: its configuration, its process, its twin."""

    def __init__(self, folder: Path, hub: LocalHub, factory: Factory) -> None:
        self.name = DeviceId(f"real-{next(NAMES)}")
        self._hub = hub
        hub.create(self.name)
        (folder / "root.json").write_bytes(factory.index.root)
        super().__init__(folder, self._configured(factory))

    def _configured(self, factory: Factory) -> dict[str, Any]:
        connection = self._hub.do(lambda: self._hub.server.device_connection_string(self.name))
        return {
            "connection_string": connection,
            "hub_ca_file": str(self._hub.server.ca_path),
            "service_url": factory.service.url,
            "root_file": "root.json",
            "state_dir": "state",
            "properties": {"hardware": "rev-b"},
            "installed": {"engine": "1.0.0"},
            "hub": {"retry_initial_s": 0.2, "retry_longest_s": 1.0},
            "download": {"retry_initial_s": 0.05, "retry_longest_s": 0.2, "attempts": 5},
            "health": {"command": [sys.executable, "-m", "agent.selftest"], "timeout_s": 20},
            "log_level": "DEBUG",
        }

    def offer(self, offer: Offer) -> None:
        self._hub.service().update_twin(self.name, {"properties": {"desired": {"update": write_offer(offer)}}})

    def reported(self) -> dict[str, Any]:
        update: dict[str, Any] = self._hub.service().get_twin(self.name).properties.reported.get("update", {})
        return update

    def wait_for_end(self, sequence: int = 1) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            told = self.reported()
            return told if told.get("sequence") == sequence and told["state"] in ENDS else None

        try:
            return wait_until(ended, timeout_s=40) or {}
        except TimeoutError as error:
            raise AssertionError(self.log()) from error

    def states(self) -> list[str]:
        events = self._hub.events_of(self.name, "updateTwin")
        told = [event.body["properties"].get("reported", {}).get("update", {}) for event in events]
        return [update["state"] for update in told if "state" in update]

    def runs(self) -> dict[str, str]:
        installed: dict[str, str] = self.status()["installed"]
        return installed

    def image(self) -> bytes:
        return (self.folder / "state/slots/active/image").read_bytes()


@pytest.fixture
def device(tmp_path: Path, hub: LocalHub, factory: Factory) -> Iterator[Device]:
    device = Device(tmp_path, hub, factory)
    with ExitStack() as stack:
        device.start()
        stack.callback(device.stop, signal.SIGKILL)
        yield device


def test_an_offer_is_carried_out_and_a_bad_successor_is_rolled_back(device: Device, factory: Factory) -> None:
    good = factory.firmware("1.1.0", b"good image")
    device.offer(factory.offer(good, 1, device=device.name))
    assert device.wait_for_end()["state"] == "succeeded"
    assert (device.image(), device.runs()) == (b"good image", {"engine": "1.1.0"})
    wait_until(lambda: device.states()[-1:] == ["succeeded"])
    assert device.states() == ["downloading", "installing", "restarting", "succeeded"]

    bad = factory.firmware("1.2.0", b"groundswell-selftest: fail")
    device.offer(factory.offer(bad, 2, device=device.name))
    end = device.wait_for_end(2)

    assert (end["state"], end["code"], end["installed"]) == ("failed", "health_check_failed", {"engine": "1.1.0"})
    assert "self-test failed: image says so" in end["detail"]
    assert (device.image(), device.runs()) == (b"good image", {"engine": "1.1.0"})
    assert device.stop() == 0
    assert "ticket-1" not in device.log()


def test_a_download_killed_halfway_goes_on_in_the_next_life(device: Device, factory: Factory) -> None:
    content = bytes(range(256)) * 4096
    faults = factory.service.faults
    faults.hold_at_byte = 600_000
    device.offer(factory.offer(factory.firmware("1.1.0", content), device=device.name))
    assert faults.held.wait(20)
    part = device.folder / "state/downloads"
    wait_until(lambda: any(path.stat().st_size > 400_000 for path in part.glob("*.part")))

    device.stop(signal.SIGKILL)
    faults.released.set()
    faults.hold_at_byte = None
    device.start()

    assert device.wait_for_end()["state"] == "succeeded"
    assert device.image() == content
    first, resumed = factory.service.ranges
    assert first is None
    assert resumed is not None
    assert int(resumed.removeprefix("bytes=").rstrip("-")) > 400_000


def test_offers_that_must_not_be_believed_are_rejected_one_by_one(device: Device, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    past = datetime.now(UTC) - timedelta(days=2)
    attacks = [
        (factory.offer(package, 2, device=device.name, sha256="0" * 64), "rejected", "intent_mismatch"),
        (factory.offer(package, 3, device=device.name, expires=past), "rejected", "intent_expired"),
        (factory.offer(factory.firmware("0.9.0"), 4, device=device.name), "rejected", "downgrade_refused"),
        (factory.offer(package, 5, device=DeviceId("somebody-else")), "rejected", "proof_refused"),
        (factory.offer(package, 6, device=device.name, ticket="stolen"), "failed", "ticket_refused"),
    ]
    for offer, state, code in attacks:
        device.offer(offer)
        end = device.wait_for_end(offer.sequence)
        assert (end["state"], end["code"]) == (state, code)

    genuine = factory.index.intent_signer
    factory.index.intent_signer = new_signer()
    device.offer(factory.offer(package, 7, device=device.name))
    factory.index.intent_signer = genuine
    assert device.wait_for_end(7)["code"] == "intent_refused"

    factory.service.contents[package.path] = b"other"
    device.offer(factory.offer(package, 8, device=device.name))
    assert device.wait_for_end(8)["code"] == "digest_mismatch"

    factory.service.contents[package.path] = b"image"
    ignored = device.log().count(": ignore")
    device.offer(factory.offer(package, 1, device=device.name))
    wait_until(lambda: device.log().count(": ignore") > ignored)
    assert device.reported()["sequence"] == 8
    assert device.runs() == {"engine": "1.0.0"}


def test_a_device_cut_off_reads_its_twin_again(device: Device, factory: Factory, hub: LocalHub) -> None:
    wait_until(lambda: "desired version 1" in device.log())
    key = hub.service().get_device(device.name).authentication.symmetric_key
    hub.service().update_device_with_sas(device.name, "*", key.primary_key, key.secondary_key, "disabled")
    wait_until(lambda: "again in" in device.log())
    device.offer(factory.offer(factory.firmware("1.1.0"), device=device.name))
    hub.service().update_device_with_sas(device.name, "*", key.primary_key, key.secondary_key, "enabled")

    assert device.wait_for_end()["state"] == "succeeded"


def test_reports_a_hub_refuses_for_now_are_sent_again(device: Device, factory: Factory, hub: LocalHub) -> None:
    faults = factory.service.faults
    faults.hold_at_byte = 2
    device.offer(factory.offer(factory.firmware("1.1.0"), device=device.name))
    assert faults.held.wait(20)
    connections = len(hub.events_of(device.name, "deviceConnected"))
    hub.do(lambda: setattr(hub.server.throttle, "daily_messages", 0))
    faults.released.set()
    try:
        wait_until(lambda: device.log().count("report not accepted") >= 2)
        assert len(hub.events_of(device.name, "deviceConnected")) == connections
    finally:
        hub.do(lambda: setattr(hub.server.throttle, "daily_messages", None))

    assert device.wait_for_end()["state"] == "succeeded"


def test_what_a_hub_never_takes_is_refused_for_good_without_a_new_connection(hub: LocalHub) -> None:
    name = f"real-{next(NAMES)}"
    hub.create(name)
    connection = hub.do(lambda: hub.server.device_connection_string(name))
    channel = IotHubChannel(HubAddress(connection_string=connection, ca_pem=hub.server.ca_path.read_text()))
    lost: list[Event] = []
    channel.open(lost.append)
    try:
        with pytest.raises(ChannelRefused, match="400"):
            channel.report({"filler": "x" * 40_000})
        hub.do(lambda: setattr(hub.server.throttle, "daily_messages", 0))
        try:
            with pytest.raises(ChannelThrottled):
                channel.report({"state": "idle"})
        finally:
            hub.do(lambda: setattr(hub.server.throttle, "daily_messages", None))
        channel.report({"state": "idle"})
    finally:
        channel.close()
    assert lost == []


def test_wrong_hardware_and_a_tampered_index_are_refused(device: Device, factory: Factory) -> None:
    package = factory.firmware("1.1.0")
    files = dict(factory.index.files)
    for name in [name for name in files if ".bin-" in name]:
        factory.index.files[name] = files[name].replace(b"rev-b", b"rev-x")
    device.offer(factory.offer(package, 1, device=device.name))
    assert device.wait_for_end(1)["code"] == "index_refused"

    factory.index.files.update(files)
    device.stop()
    config = json.loads((device.folder / "agent.json").read_text())
    config["properties"] = {"hardware": "rev-a"}
    (device.folder / "agent.json").write_text(json.dumps(config))
    device.start()
    device.offer(factory.offer(package, 2, device=device.name))

    end = device.wait_for_end(2)
    assert (end["state"], end["code"]) == ("rejected", "incompatible")
    assert device.runs() == {"engine": "1.0.0"}


def test_an_agent_waits_for_a_hub_that_is_away_and_ends_on_request(
    tmp_path: Path, factory: Factory, hub: LocalHub
) -> None:
    device = Device(tmp_path, hub, factory)
    path = tmp_path / "agent.json"
    config = json.loads(path.read_text())
    connection = re.sub("HostName=[^;]*", "HostName=127.99.99.1", config["connection_string"])
    path.write_text(json.dumps(config | {"connection_string": connection}))
    device.start()
    wait_until(lambda: device.log().count("again in") >= 2)

    assert device.stop() == 0
