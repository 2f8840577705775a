"""A device that knows no hub: scope, registration and key are all it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.domain.enrolment import derive_device_key
from tests.support.agent_process import AgentProcess
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import FACTORY_VERSION, HARDWARE, Scene
from tests.support.waiting import wait_until

NEWER_VERSION = "2.1.0"


@contextmanager
def enrolling_agent(scene: Scene, folder: Path, registration: str) -> Iterator[AgentProcess]:
    """A process of the real agent."""
    settings = scene.stack.settings
    document = {
        "dps": {
            "id_scope": settings["PROVISIONING_ID_SCOPE"],
            "registration_id": registration,
            "symmetric_key": derive_device_key(settings["PROVISIONING_GROUP_KEY"], registration),
            "provisioning_host": settings["PROVISIONING_HOST"],
            "retry_initial_s": 0.5,
            "retry_longest_s": 2.0,
        },
        "hub_ca_file": settings["CA_FILE"],
        "service_url": scene.stack.api,
        "root_file": str(scene.stack.root_json),
        "state_dir": "state",
        "properties": {"hardware": HARDWARE},
        "installed": {scene.name: FACTORY_VERSION},
        "hub": {"retry_initial_s": 0.1, "retry_longest_s": 0.5},
    }
    agent = AgentProcess(folder, document)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()


def is_connected(scene: Scene, device: str) -> bool:
    """Whether the hub knows the device and has it on the line."""
    found = scene.registry.get_devices()
    return any(one.device_id == device and one.connection_state == "Connected" for one in found)


def rows(scene: Scene, campaign: str) -> Mapping[str, tuple[str, str]]:
    return {row["device"]: (row["state"], row["code"]) for row in scene.tables.rollouts(campaign)}


def test_a_device_enrols_is_updated_and_goes_on_as_another_after_it_was_deleted(scene: Scene, tmp_path: Path) -> None:
    registration, other = f"{scene.name}-sn", f"{scene.name}-pump"
    for version in (NEW_VERSION, NEWER_VERSION):
        scene.artifacts.publish(version)
    with enrolling_agent(scene, tmp_path, registration) as agent:
        wait_until(lambda: is_connected(scene, registration), timeout_s=30, what="the device in the hub")
        assert scene.stack.cloud.control.registration(registration)["payload"] == {"hardware": HARDWARE}

        first = scene.start([registration])
        scene.wait_for_campaign(first, "completed")
        assert rows(scene, first) == {registration: ("succeeded", "")}
        assert agent.status()["installed"] == {scene.name: NEW_VERSION}

        key = derive_device_key(scene.stack.settings["PROVISIONING_GROUP_KEY"], registration)
        keys = {"primaryKey": key, "secondaryKey": key}
        attestation = {"type": "symmetricKey", "symmetricKey": keys}
        scene.stack.cloud.control.put_enrolment(registration, {"attestation": attestation, "deviceId": other})
        scene.registry.delete_device(registration)
        wait_until(lambda: is_connected(scene, other), timeout_s=30, what="the device under its other id")

        second = scene.start([registration, other], package={"name": scene.name, "version": NEWER_VERSION})
        scene.wait_for_campaign(second, "completed")
        ended = rows(scene, second)
        assert ended[other] == ("succeeded", "")
        assert ended[registration][0] == "skipped"
        told = agent.status()
        assert (told["device"], told["installed"]) == (other, {scene.name: NEWER_VERSION})
        assert scene.desired(other)["update"]["sequence"] == told["sequence"] == 1
    assert key not in agent.log()


def test_whoever_moves_a_device_cannot_make_it_believe_an_offer(scene: Scene, tmp_path: Path) -> None:
    """Another id, and in its twin the genuine offer of the former one: what a thief of an enrolment could do."""
    registration, other = f"{scene.name}-sn", f"{scene.name}-pump"
    scene.artifacts.publish()
    with enrolling_agent(scene, tmp_path, registration) as agent:
        wait_until(lambda: is_connected(scene, registration), timeout_s=30, what="the device in the hub")
        campaign = scene.start([registration])
        scene.wait_for_campaign(campaign, "completed")
        stolen = dict(scene.desired(registration)["update"])

        key = derive_device_key(scene.stack.settings["PROVISIONING_GROUP_KEY"], registration)
        keys = {"primaryKey": key, "secondaryKey": key}
        enrolment = {
            "attestation": {"type": "symmetricKey", "symmetricKey": keys},
            "deviceId": other,
            "initialTwin": {"properties": {"desired": {"update": stolen}}},
        }
        scene.stack.cloud.control.put_enrolment(registration, enrolment)
        scene.registry.delete_device(registration)

        def reported() -> dict[str, Any]:
            if not is_connected(scene, other):
                return {}
            told: dict[str, Any] = scene.registry.get_twin(other).properties.reported.get("update", {})
            return told

        end = wait_until(reported, timeout_s=40, what="the device's answer")
        assert (end["state"], end["code"]) == ("rejected", "proof_refused")
        assert agent.status()["installed"] == {scene.name: NEW_VERSION}
