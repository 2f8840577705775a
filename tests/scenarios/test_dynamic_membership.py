"""Devices that begin to match a campaign's query while it runs."""

from __future__ import annotations

from azure.iot.hub.models import Twin

from tests.support.scenario import run_timer
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until


def test_a_device_that_is_tagged_later_joins_the_last_wave_until_membership_is_closed(scene: Scene) -> None:
    """I3, I5, I9: it comes through the queue of the wave in hand; closing it lets the campaign complete.

    One in the lab is excluded by a query; the others have no such tag at all, and join all the same.
    """
    *devices, in_lab = scene.devices(6)
    scene.artifacts.publish()
    with scene.fleet([*devices, in_lab]) as fleet:
        for device in devices[:3]:
            tag(scene, device)
        query = f"SELECT * FROM devices WHERE tags.site = '{scene.name}'"  # noqa: S608 - a name of our own
        waves = [{"count": 1}, {"rest": True}]
        exclude = {"query": "SELECT * FROM devices WHERE tags.lab = true"}
        targets = {"query": query, "membership": "dynamic", "relist_s": 60, "exclude": exclude}
        campaign = scene.start(devices, targets=targets, waves=waves)
        scene.wait_for_states(campaign, dict.fromkeys(devices[:3], "succeeded"))
        assert [wave["state"] for wave in scene.show(campaign)["waves"]] == ["passed", "running"]

        tag(scene, in_lab, lab=True)
        tag(scene, devices[3])
        wait_until(lambda: joins(scene, campaign, devices[3]), timeout_s=90, every_s=2, what="a newcomer")
        scene.wait_for_states(campaign, {devices[3]: "succeeded"})
        url = f"{scene.stack.api}/campaigns/{campaign}/membership"
        assert scene.http.put(url, json={"membership": "dynamic"}, timeout=10).status_code == 400
        closed = [scene.http.put(url, json={"membership": "closed"}, timeout=10) for _ in range(2)]
        assert [answer.json()["membership"] for answer in closed] == ["closed", "closed"]
        tag(scene, devices[4])
        shown = scene.wait_for_campaign(campaign, "completed")
        run_timer(scene.stack, "every_minute_resume")
        check_tables(scene, campaign, devices[:4], fleet)
    assert (shown["targets"], shown["plan"]["joined"]) == (4, 1)
    assert [wave["devices"] for wave in shown["waves"]] == [1, 3]
    deeds = [entry["what"] for entry in scene.tables.audit(campaign)]
    assert [what for what in deeds if what in ("join", "close-membership")] == ["join", "close-membership"]


def tag(scene: Scene, device: str, **tags: bool) -> None:
    """From now on the query finds the device."""
    scene.registry.update_twin(device, Twin(tags={"site": scene.name, **tags}))


def joins(scene: Scene, campaign: str, device: str) -> bool:
    """Whether the device has a row, once the minute's timer has run."""
    run_timer(scene.stack, "every_minute_resume")
    return device in scene.tables.states(campaign)
