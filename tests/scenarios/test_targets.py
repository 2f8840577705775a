"""Who gets a campaign, and who is left out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from azure.iot.hub.models import Twin

from cli.__main__ import main
from demo.devices import register
from tests.scenarios.test_audit import export, export_key
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables, wait_until_settled
from tests.support.waiting import wait_until


def test_excluded_devices_and_devices_that_run_the_version_get_no_offer(scene: Scene) -> None:
    """The second campaign meets two devices that are done, one that is excluded, and one that is new."""
    devices = scene.devices(4)
    done, excluded, new = devices[:2], devices[2], devices[3]
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        first = scene.start(done)
        scene.wait_for_campaign(first, "completed")
        wait_until_settled(scene, done, fleet)

        query = f"SELECT * FROM devices WHERE deviceId = '{excluded}'"  # noqa: S608 - an id of our own
        targets = {"devices": devices, "exclude": {"query": query}}
        second = scene.start(devices, targets=targets)
        shown = scene.wait_for_campaign(second, "completed")

        check_tables(scene, second, [*done, new], fleet)
        assert excluded not in scene.tables.states(second)
        assert not any("update" in str(key) for key in scene.desired(excluded) if not key.startswith("$"))
    assert (shown["plan"]["excluded"], shown["plan"]["current"], shown["plan"]["skipped"]) == (1, 2, 0)
    codes = {row["device"]: row["code"] for row in scene.tables.rollouts(second)}
    assert codes == {done[0]: "current", done[1]: "current", new: ""}
    assert "2 of 3 devices ran the version already" in shown["reason"]


def test_a_device_set_back_by_hand_is_not_taken_for_current(scene: Scene) -> None:
    """The row of the device says that it is done; its twin, the last to speak, says that it is not."""
    (device,) = devices = scene.devices(1)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        scene.wait_for_campaign(scene.start(devices), "completed")
        wait_until_settled(scene, devices, fleet)
    # A bench replaces its software without a campaign, and its twin is cleared: nothing of ours hears of it.
    scene.registry.delete_device(device)
    register(scene.stack.settings["IotHub"], devices)
    with scene.fleet(devices) as fleet:
        again = scene.start(devices)
        shown = scene.wait_for_campaign(again, "completed")
        check_tables(scene, again, devices, fleet)
    assert shown["plan"]["current"] == 0
    assert scene.tables.states(again) == {device: "succeeded"}


def test_a_plan_tells_misspelt_ids_from_devices_that_never_had_a_campaign(scene: Scene) -> None:
    """The hub told of the real ones' creation; the misspelt one is gone once a campaign has met it."""
    real, ghost = scene.devices(3), f"{scene.name}-misspelt"
    register(scene.stack.settings["IotHub"], real)
    scene.artifacts.publish()
    body = scene.request([*real, ghost])

    def planned() -> dict[str, Any]:
        answer = scene.post("campaigns?dry_run=true", body)
        assert answer.status_code == 200, answer.text
        plan: dict[str, Any] = answer.json()["plan"]
        return plan

    wait_until(lambda: planned()["unheard"] == {"count": 1, "devices": [ghost]}, what="the news of the devices")
    assert ghost in next(each["message"] for each in planned()["warnings"] if each["code"] == "unheard_devices")
    with scene.fleet(real) as fleet:
        campaign = scene.start([*real, ghost])
        shown = scene.wait_for_campaign(campaign, "completed")
        wait_until_settled(scene, real, fleet)
    assert shown["plan"]["unheard"] == {"count": 1, "devices": [ghost]}
    wait_until(lambda: planned()["gone"] == {"count": 1, "devices": [ghost]}, what="the end of the misspelt one's part")
    assert planned()["unheard"] == {"count": 0, "devices": []}


def test_a_wave_of_devices_that_the_hub_does_not_know_does_not_pass(scene: Scene) -> None:
    """Nobody registered them: their ids are misspelt, and the next wave must not go out on the word of nobody."""
    ghosts, (real,) = scene.devices(2), [f"{scene.name}-real"]
    scene.artifacts.publish()
    with scene.fleet([real]):
        campaign = scene.start([*ghosts, real])
        done = scene.wait_for_campaign(campaign, "completed")
        assert done["waves"][0]["skipped"] == {"device_not_found": 2}
        assert done["reason"] == "all 1 waves passed; IoT Hub does not know 2 of 3 devices"
        campaign = scene.start(ghosts)
        shown = scene.wait_for_campaign(campaign, "paused", "completed")
    assert (shown["state"], shown["waves"][0]["counters"]) == ("paused", {"skipped": 2})
    assert "IoT Hub knows none of the 2 devices (device_not_found)" in shown["reason"]


def test_missing_devices_beside_held_ones_are_nobodys_word_for_the_package(scene: Scene, tmp_path: Path) -> None:
    """The wave is two misspelt ids and a device that another campaign holds: nobody in it was ever offered anything."""
    held, ghosts = f"{scene.name}-held", scene.devices(2)
    register(scene.stack.settings["IotHub"], [held])
    scene.artifacts.publish()
    holder = scene.start([held])
    scene.wait_for_states(holder, {held: "offered"})
    campaign = scene.start([held, *ghosts])
    shown = scene.wait_for_campaign(campaign, "paused", "completed")

    numbers = {"held_by": 1, "device_not_found": 2}
    [wave] = shown["waves"]
    assert (shown["state"], wave["skipped"], wave["judged"]["skipped"]) == ("paused", numbers, numbers)
    assert "of 3 devices, 2 not known to IoT Hub (device_not_found), 1 held by other campaigns" in shown["reason"]
    assert scene.post(f"campaigns/{campaign}/skip-wave", {"wave": 1}).status_code == 200
    assert scene.act(campaign, "resume").status_code == 200
    assert "IoT Hub does not know 2 of 3 devices" in scene.wait_for_campaign(campaign, "completed")["reason"]

    log, key = tmp_path / "campaign.log", export_key(scene, tmp_path / "online")
    [stop] = [record for record in export(scene, campaign, log) if record["what"] == "stop"]
    assert stop["facts"]["skips"] == {"by_reason": numbers}
    assert main(["audit", "verify", str(log), "--key", str(key)]) == 0


def test_a_saved_group_of_a_list_is_rolled_out_to_and_later_changes_of_it_are_not(scene: Scene) -> None:
    """The group and the blob change while the campaign is planned; it keeps what they meant when it was posted."""
    devices = scene.devices(3)
    group = f"{scene.stack.api}/groups/{scene.name}"
    lists = scene.blobs.get_container_client("target-lists")
    lists.upload_blob(f"{scene.name}/spring.txt", "".join(f"{device}\r\n" for device in [*devices, devices[0]]))
    assert scene.http.get(group, timeout=10).status_code == 404
    assert scene.http.put(group, json={"list": f"{scene.name}/spring.txt"}, timeout=10).status_code == 200
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, targets={"group": scene.name})
        lists.upload_blob(f"{scene.name}/spring.txt", "elsewhere\n", overwrite=True)
        saved = scene.http.put(group, json={"query": "SELECT * FROM devices"}, timeout=10).json()
        shown = scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)
    assert (shown["group"], shown["target_list"]) == (scene.name, f"{scene.name}/spring.txt")
    assert saved["number"] == 2
    page = scene.http.get(f"{scene.stack.api}/groups", timeout=10).json()
    assert scene.name in [found["name"] for found in page["groups"]]
    assert [scene.http.delete(group, timeout=10).status_code for _ in range(2)] == [204, 204]
    assert scene.http.get(group, timeout=10).status_code == 404
    deeds = [(entry["what"], entry["after"]) for entry in scene.tables.audit(f"group-{scene.name}")]
    assert deeds == [("put-group", "list"), ("put-group", "query"), ("delete-group", "absent")]


def test_a_list_and_a_saved_group_are_left_out(scene: Scene) -> None:
    """What they mean later leaves nobody else out."""
    devices = scene.devices(4)
    group = f"{scene.stack.api}/groups/{scene.name}"
    lists = scene.blobs.get_container_client("target-lists")
    lists.upload_blob(f"{scene.name}/kept.txt", f"{devices[0]}\n")
    query = f"SELECT * FROM devices WHERE deviceId = '{devices[1]}'"  # noqa: S608 - an id of our own
    assert scene.http.put(group, json={"query": query}, timeout=10).status_code == 200
    scene.artifacts.publish()
    exclude = {"list": f"{scene.name}/kept.txt", "group": scene.name}
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, targets={"devices": devices, "exclude": exclude})
        assert scene.http.put(group, json={"query": "SELECT * FROM devices"}, timeout=10).status_code == 200
        lists.upload_blob(f"{scene.name}/kept.txt", "\n".join(devices), overwrite=True)
        shown = scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices[2:], fleet)
    assert (shown["excluded_group"], shown["excluded_lists"]) == (scene.name, [f"{scene.name}/kept.txt"])
    assert shown["plan"]["excluded"] == 2
    nobody = scene.post(
        "campaigns", scene.request(devices, targets={"devices": devices, "exclude": exclude | {"group": None}})
    )
    assert (nobody.status_code, nobody.json()["detail"]) == (400, "targets.exclude: it leaves no device over")


def test_groups_and_lists_that_cannot_be_used_name_the_field(scene: Scene) -> None:
    group = f"{scene.stack.api}/groups/{scene.name}"
    refused = scene.http.put(group, json={"query": "DROP devices"}, timeout=10)
    assert (refused.status_code, "query: only SELECT" in refused.json()["detail"]) == (400, True)
    scene.artifacts.publish()
    for targets, status, code in (
        ({"group": "none-such"}, 404, "group_not_found"),
        ({"list": "none-such.txt"}, 404, "list_not_found"),
        ({"list": "a", "group": "b"}, 400, "invalid_request"),
    ):
        answer = scene.post("campaigns", scene.request([], targets=targets))
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_ring_in_the_tags_decides_who_is_the_canary(scene: Scene) -> None:
    """I3, I5: the wave with the filter has the tagged devices and nobody else, and the others wait for its gate."""
    devices = scene.devices(6)
    register(scene.stack.settings["IotHub"], devices)
    for device in (devices[1], devices[4]):
        scene.registry.update_twin(device, Twin(tags={"ring": "canary"}))
    waves = [
        {"name": "ring", "filter": "tags.ring = 'canary'", "gate": {"soak_s": 0.5}},
        {"name": "half", "percent": 50},
        {"name": "others", "rest": True},
    ]
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        shown = scene.wait_for_campaign(scene.start(devices, waves=waves), "completed")
        check_tables(scene, shown["id"], devices, fleet)
    rows = scene.tables.rollouts(shown["id"])
    assert {row["device"] for row in rows if row["wave"] == 1} == {devices[1], devices[4]}
    assert [wave["devices"] for wave in shown["waves"]] == [2, 2, 2]
    assert shown["waves"][0]["size"] == "devices where tags.ring = 'canary'"
    later = [row["sent_at"] for row in rows if row["wave"] > 1]
    assert min(later) >= datetime.fromisoformat(shown["waves"][0]["ended_at"])


def test_a_filter_that_the_hub_would_refuse_or_that_finds_nobody_rolls_nothing_out(scene: Scene) -> None:
    devices = scene.devices(2)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    typo = scene.post("campaigns", scene.request(devices, waves=[{"filter": "tags.ring = 'canary"}, {"rest": True}]))
    assert (typo.status_code, "waves.0.filter: at character 13" in typo.json()["detail"]) == (400, True)
    nobody = scene.start(devices, waves=[{"filter": "tags.ring = 'canray'"}, {"rest": True}])
    assert "no target is left for wave 1" in scene.wait_for_campaign(nobody, "aborted")["reason"]
    assert scene.tables.rollouts(nobody) == []
