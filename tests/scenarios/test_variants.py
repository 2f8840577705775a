"""One campaign over devices of several kinds: each gets the package for its hardware."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from demo.truth import find_miscounts
from tests.scenarios.test_dynamic_membership import joins, tag
from tests.support.scenario import kill_and_restart
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import FACTORY_VERSION, Scene
from tests.support.waiting import wait_until

WAVES = [{"name": "canary", "count": 2, "gate": {"success_percent": 0, "failure_percent": None}}, {"rest": True}]


def publish_variants(scene: Scene) -> tuple[list[dict[str, str]], str]:
    """Two packages for two kinds of hardware, and what devices of the second ran before; the name of the second."""
    second = f"{scene.name}-big"
    scene.artifacts.publish(hardware=["mk2"])
    scene.artifacts.publish(FACTORY_VERSION, hardware=["mk2"])
    big = replace(scene.artifacts, name=second)
    big.publish(hardware=["mk3"])
    big.publish(FACTORY_VERSION, hardware=["mk3"])
    return [{"name": name, "version": NEW_VERSION} for name in (scene.name, second)], second


def plan(scene: Scene, devices: list[str], **fields: Any) -> dict[str, Any]:
    answer = scene.post("campaigns?dry_run=true", scene.request(devices, **fields))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["plan"]
    return found


def test_a_mixed_fleet_is_updated_by_one_campaign_and_reverted(scene: Scene) -> None:
    """Nobody knows these devices: they said what they are when they connected, and never had a campaign."""
    devices = scene.devices(7)
    hardware = dict.fromkeys(devices[:3], "mk2") | dict.fromkeys(devices[3:6], "mk3") | {devices[6]: "mk9"}
    packages, big = publish_variants(scene)
    name_of = {device: big if kind == "mk3" else scene.name for device, kind in hardware.items()}
    installed = {device: {name: FACTORY_VERSION} for device, name in name_of.items()}
    asked: dict[str, Any] = {"package": None, "packages": packages, "waves": WAVES}

    with scene.fleet(devices, hardware=hardware, installed=installed) as fleet:
        warnings = {each["code"] for each in plan(scene, devices, **asked)["warnings"]}
        assert "unknown_hardware" in warnings
        campaign = scene.start(devices, **asked)
        wait_until(
            lambda: "offered" in scene.tables.states(campaign).values() or _is_done(scene, campaign), timeout_s=30
        )
        kill_and_restart(scene.stack)
        shown = scene.wait_for_campaign(campaign, "completed", timeout_s=90)

        expected = {device: {name_of[device]: NEW_VERSION} for device in devices[:6]}
        assert {device: fleet.installed(device) for device in devices[:6]} == expected
        assert fleet.installed(devices[6]) == installed[devices[6]]
        rows = {row["device"]: row for row in scene.tables.rollouts(campaign)}
        assert {device: row["variant"] for device, row in rows.items() if device != devices[6]} == {
            device: int(hardware[device] == "mk3") for device in devices[:6]
        }
        assert (rows[devices[6]]["state"], rows[devices[6]]["code"]) == ("skipped", "no_package")
        assert find_miscounts(list(rows.values()), shown["waves"]) == []
        assert {each["name"]: each["devices"] for each in shown["packages"]} == {scene.name: 3, big: 3}
        assert shown["plan"]["no_package"] == 1
        assert all(scene.desired(device)["update"]["path"].startswith(name_of[device] + "/") for device in devices[:6])
        assert "update" not in scene.desired(devices[6])

        assert scene.act(campaign, "revert").status_code == 200
        reverted = scene.wait_for_campaign(campaign, "reverted", timeout_s=90)
        for name in (scene.name, big):
            assert f"({name} {FACTORY_VERSION}) is completed" in reverted["reason"]
        assert {device: fleet.installed(device) for device in devices} == installed


def test_the_first_campaign_of_a_product_line_knows_its_devices_by_their_listing(scene: Scene) -> None:
    """The query hands out their twins anyway: the plan says who gets what, and no twin is read one by one."""
    devices = scene.devices(5)
    hardware = dict.fromkeys(devices[:2], "mk2") | dict.fromkeys(devices[2:4], "mk3") | {devices[4]: "mk9"}
    packages, big = publish_variants(scene)
    query = f"SELECT * FROM devices WHERE STARTSWITH(deviceId, '{scene.name}-')"  # noqa: S608 - ids of our own
    asked: dict[str, Any] = {"package": None, "packages": packages, "targets": {"query": query}}

    def introduced(device: str) -> bool:
        return "device" in scene.registry.get_twin(device).properties.reported

    with scene.fleet(devices, hardware=hardware, installed={device: {} for device in devices}) as fleet:
        wait_until(lambda: all(map(introduced, devices)), what="introductions")
        answer = scene.post("campaigns?dry_run=true", scene.request([], **asked))
        assert answer.status_code == 202, answer.text
        operation = f"operations/{answer.json()['id']}"
        wait_until(lambda: scene.get(operation).json()["state"] == "succeeded", what="the dry run")
        found = scene.get(operation).json()["plan"]
        assert [each["devices"] for each in found["packages"]] == [2, 2]
        assert found["no_package"] == 1
        assert "unknown_hardware" not in {each["code"] for each in found["warnings"]}

        campaign = scene.start([], **asked)
        shown = scene.wait_for_campaign(campaign, "completed", timeout_s=90)
        assert [each["devices"] for each in shown["packages"]] == [2, 2]
        assert [list(fleet.installed(device)) for device in devices] == [[scene.name]] * 2 + [[big]] * 2 + [[]]


def test_packages_that_two_devices_could_take_are_refused(scene: Scene) -> None:
    scene.artifacts.publish(hardware=["mk2"])
    replace(scene.artifacts, name=f"{scene.name}-big").publish(hardware=["mk2", "mk3"])
    packages = [{"name": name, "version": NEW_VERSION} for name in (scene.name, f"{scene.name}-big", "nobody")]
    answer = scene.post("campaigns", scene.request(["d"], package=None, packages=packages))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"packages.2: there is no package nobody {NEW_VERSION}")
    answer = scene.post("campaigns", scene.request(["d"], package=None, packages=packages[:2]))
    assert answer.status_code == 400
    assert answer.json()["detail"] == "packages.1: it is for mk2, as packages.0 is; a device takes only one"


def _is_done(scene: Scene, campaign: str) -> bool:
    return bool(scene.show(campaign)["state"] == "completed")


def test_a_device_that_was_made_and_never_switched_on_joins_once_it_has_said_what_it_is(scene: Scene) -> None:
    devices = scene.devices(3)
    hardware = {devices[0]: "mk2", devices[1]: "mk3", devices[2]: "mk3"}
    packages, big = publish_variants(scene)
    query = f"SELECT * FROM devices WHERE tags.site = '{scene.name}'"  # noqa: S608 - a name of our own
    targets = {"query": query, "membership": "dynamic", "relist_s": 60}
    last = scene.fleet(devices[2:], hardware=hardware, installed={devices[2]: {}})
    with scene.fleet(devices[:2], hardware=hardware, installed={devices[1]: {}}):
        tag(scene, devices[0])
        campaign = scene.start(devices, package=None, packages=packages, targets=targets)
        scene.wait_for_states(campaign, {devices[0]: "succeeded"})

        tag(scene, devices[1])
        tag(scene, devices[2])
        wait_until(lambda: joins(scene, campaign, devices[1]), timeout_s=90, every_s=2, what="a newcomer")
        assert devices[2] not in scene.tables.states(campaign), "it must not be left out for good"
        with last as fleet:
            wait_until(lambda: joins(scene, campaign, devices[2]), timeout_s=90, every_s=2, what="another")
            scene.wait_for_states(campaign, dict.fromkeys(devices, "succeeded"))
            assert fleet.installed(devices[2]) == {big: NEW_VERSION}
        assert {each["name"]: each["devices"] for each in scene.show(campaign)["packages"]} == {scene.name: 1, big: 2}
