"""Trust, end to end: what a thief plants or edits starts nothing, and what is withdrawn is gone."""

from __future__ import annotations

import json
from pathlib import Path

import requests
from azure.data.tables import TableServiceClient
from tuf.ngclient import Updater

from demo.devices import register
from tests.support.scenario_artifacts import image
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until


def index_names(scene: Scene, folder: Path, path: str) -> bool:
    """Whether a TUF client that is not ours finds the target in the index as it is served now."""
    folder.mkdir(exist_ok=True)
    url = f"{scene.stack.api}/repository/metadata/"
    updater = Updater(str(folder), url, bootstrap=scene.stack.root_json.read_bytes())
    return updater.get_targetinfo(path) is not None


def test_artifact_planted_in_incoming(scene: Scene) -> None:
    """A thief of the storage account drops an image without a signature, and one with another image's."""
    scene.artifacts.publish()
    name = f"{scene.name}/6.6.6/image"
    scene.artifacts.upload(name, image(scene.name, "6.6.6"), {"name": scene.name, "version": "6.6.6"})
    assert scene.artifacts.wait_for_refusal()["code"] == "signature_missing"

    evil = image(scene.name, "6.6.7")
    signed = scene.artifacts.drop(image(scene.name, "3.0.0"), "3.0.0")
    scene.artifacts.wait_for_package("3.0.0")
    signature = scene.artifacts.sign(image(scene.name, "3.0.0"), "3.0.0")
    scene.artifacts.upload(f"{signed}-evil.sig", signature)
    scene.artifacts.upload(f"{signed}-evil", evil)
    wait_until(lambda: len(scene.artifacts.refusals()) == 2, what="both to be refused")

    assert {refusal["code"] for refusal in scene.artifacts.refusals()} == {"signature_missing", "signature_mismatch"}
    assert scene.artifacts.packages("6.6.6") == scene.artifacts.packages("6.6.7") == []


def test_campaign_row_edited_in_the_table(scene: Scene) -> None:
    """The real row of a running campaign is changed to allow a downgrade: it pauses, and offers nothing more."""
    devices = scene.devices(3)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    campaign = scene.start(devices, waves=[{"count": 1}, {"rest": True}])
    wait_until(lambda: "offered" in scene.tables.states(campaign).values(), what="the first wave's offer")
    before = scene.tables.states(campaign)
    with TableServiceClient.from_connection_string(scene.stack.settings["Storage"]) as tables:
        table = tables.get_table_client("campaigns")
        row = table.get_entity(campaign, "campaign")
        spec = json.loads(row["spec"]) | {"allow_downgrade": True}
        table.update_entity({"PartitionKey": campaign, "RowKey": "campaign", "spec": json.dumps(spec)})

    assert scene.post(f"campaigns/{campaign}/skip-wave", {"wave": 1}).status_code == 200
    paused = scene.wait_for_campaign(campaign, "paused")
    assert "somebody changed it" in paused["reason"]
    refused = scene.act(campaign, "resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "spec_untrusted")
    assert sorted(before.values()) == ["offered", "planned", "planned"]
    assert scene.tables.states(campaign) == before


def test_withdrawn_package_is_gone_everywhere(scene: Scene, tmp_path: Path) -> None:
    """A running campaign's package is withdrawn: out of the index, the campaign paused, tickets worth nothing."""
    devices = scene.devices(2)
    package = scene.artifacts.publish()
    path = f"{scene.name}/2.0.0/{scene.name}-2.0.0.img"
    assert index_names(scene, tmp_path / "client", path)
    register(scene.stack.settings["IotHub"], devices)
    campaign = scene.start(devices)
    scene.wait_for_states(campaign, dict.fromkeys(devices, "offered"))
    wait_until(lambda: "update" in scene.desired(devices[0]), what="the offer to be in the twin")
    ticket = scene.desired(devices[0])["update"]["ticket"]
    url = f"{scene.stack.api}/downloads/{path}"
    headers = {"Groundswell-Ticket": ticket}
    assert requests.get(url, headers=headers, allow_redirects=False, timeout=10).status_code == 307

    answer = scene.post(f"packages/{scene.name}/2.0.0/withdraw", {"reason": "it bricks pumps"})
    assert (answer.status_code, answer.json()["state"]) == (202, "withdrawing")

    scene.artifacts.wait_for_package(state="withdrawn")
    assert not index_names(scene, tmp_path / "client", path)
    paused = scene.wait_for_campaign(campaign, "paused")
    assert "it bricks pumps" in paused["reason"]
    gone = requests.get(url, headers=headers, allow_redirects=False, timeout=10)
    assert (gone.status_code, gone.json()["code"]) in ((410, "package_withdrawn"), (503, "campaign_paused"))
    assert scene.act(campaign, "resume").json()["code"] == "package_withdrawn"
    assert scene.post("campaigns", scene.request(devices)).json()["code"] == "package_withdrawn"
    shown = scene.http.get(f"{scene.stack.api}/packages/{scene.name}/2.0.0", timeout=10).json()
    assert (shown["state"], shown["withdrawn_reason"], shown["sha256"]) == (
        "withdrawn",
        "it bricks pumps",
        package["sha256"],
    )

    scene.artifacts.drop(image(scene.name, "2.0.0"))
    assert scene.artifacts.wait_for_refusal()["code"] == "package_withdrawn"


def test_ticket_replayed_after_cancel(scene: Scene) -> None:
    """A ticket that was good once, kept and shown again after the campaign was cancelled."""
    devices = scene.devices(1)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    campaign = scene.start(devices)
    scene.wait_for_states(campaign, {devices[0]: "offered"})
    wait_until(lambda: "update" in scene.desired(devices[0]), what="the offer to be in the twin")
    url = f"{scene.stack.api}/downloads/{scene.name}/2.0.0/{scene.name}-2.0.0.img"
    headers = {"Groundswell-Ticket": scene.desired(devices[0])["update"]["ticket"]}
    assert requests.get(url, headers=headers, allow_redirects=False, timeout=10).status_code == 307

    assert scene.act(campaign, "cancel").status_code == 200
    answer = requests.get(url, headers=headers, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (410, "campaign_over")
    forged = {"Groundswell-Ticket": headers["Groundswell-Ticket"][:-4] + "AAAA"}
    assert requests.get(url, headers=forged, allow_redirects=False, timeout=10).status_code == 401
