"""Device ids with every character IoT Hub allows work everywhere."""

from __future__ import annotations

from azure.iot.hub.models import Twin

from shared.domain.ids import DeviceId
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables, wait_until_settled

ODD = "-.%_*?!(),:=@$'#"
"""Beside letters and digits (IoT Hub developer guide, identity registry, device identity properties)."""


def test_every_character_of_a_device_id_survives_query_twin_row_and_download(scene: Scene) -> None:
    """I3: one device for each character, and one with all of them, found by a query and followed to the end."""
    devices = [f"{scene.name}{character}x" for character in ODD] + [f"{scene.name}{ODD}%41"]
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        for device in devices:
            scene.registry.update_twin(device, Twin(tags={"scene": scene.name}), "*")
        query = f"SELECT deviceId FROM devices WHERE tags.scene = '{scene.name}'"  # noqa: S608 - our own name
        campaign = scene.start([], targets={"query": query}, waves=[{"count": 3}, {"rest": True}])
        scene.wait_for_campaign(campaign, "completed")

        check_tables(scene, campaign, devices, fleet)
        wait_until_settled(scene, devices, fleet)
        for device in devices:
            where = "campaign eq @campaign and device eq @device"
            [row] = scene.tables.query("rollout", where, campaign=campaign, device=device)
            assert row["state"] == "succeeded"
            assert scene.desired(device)["update"]["campaign"] == campaign
            assert fleet.installed(DeviceId(device)) == {scene.name: "2.0.0"}
