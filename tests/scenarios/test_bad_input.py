"""What malformed requests and messages get, and that the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until

PROBLEM = "application/problem+json"


def refusal(answer: requests.Response, status: int) -> dict[str, Any]:
    """The problem document of a refused request."""
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, PROBLEM), answer.text
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    return document


def test_requests_that_cannot_be_used_are_answered_with_the_field_that_is_wrong(scene: Scene) -> None:
    url = f"{scene.stack.api}/campaigns"
    body = scene.request(["d"])

    assert "JSON" in refusal(scene.http.post(url, data=b'{"name": ', timeout=10), 400)["detail"]
    assert "colour" in refusal(scene.post("campaigns", body | {"colour": "red"}), 400)["detail"]
    assert "waves.0.size" in refusal(scene.post("campaigns", body | {"waves": [{"size": 1}]}), 400)["detail"]
    assert "targets.devices.0" in refusal(scene.post("campaigns", scene.request(["no space"])), 400)["detail"]
    assert refusal(scene.post("campaigns", body), 404)["code"] == "package_not_found"


def test_a_mistyped_dry_run_starts_nothing(scene: Scene) -> None:
    devices = scene.devices(2)
    scene.artifacts.publish()

    refused = refusal(scene.post("campaigns?dryrun=true", scene.request(devices)), 400)

    assert refused["detail"] == "dryrun: there is no such query parameter; there are dry_run"
    unclear = refusal(scene.post("campaigns?dry_run=yes", scene.request(devices)), 400)["detail"]
    assert unclear.startswith("dry_run: must be one of false, true, compare")
    twice = scene.http.post(f"{scene.stack.api}/campaigns", data=b'{"name": "a", "name": "b"}', timeout=10)
    assert refusal(twice, 400)["detail"].startswith("name: the body has this key 2 times")
    asked = scene.post("campaigns", scene.request(devices, approval={"required": 1}))
    assert refusal(asked, 400)["detail"].startswith("approval: nobody can approve while AUTH_MODE is keys")
    listed = scene.http.get(f"{scene.stack.api}/campaigns?size=200", timeout=30).json()["campaigns"]
    assert not [campaign for campaign in listed if campaign["name"] == scene.name]


def test_what_does_not_exist_is_not_found(scene: Scene) -> None:
    assert refusal(scene.http.get(f"{scene.stack.api}/campaigns/none-such", timeout=10), 404)
    assert refusal(scene.act("none-such", "pause"), 404)
    assert "resume" in refusal(scene.act("none-such", "explode"), 404)["detail"]


def test_an_action_that_does_not_fit_is_refused_with_those_that_do(scene: Scene) -> None:
    scene.artifacts.publish()
    campaign = scene.start(scene.devices(1))
    assert scene.act(campaign, "pause").status_code == 200
    assert scene.act(campaign, "cancel").status_code == 200

    refused = refusal(scene.act(campaign, "resume"), 409)

    assert refused["code"] == "action_does_not_fit"
    assert "aborted" in refused["detail"]
    assert "these actions do: force-cancel or revert" in refused["detail"]


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "guessed"}])
def test_nobody_gets_in_without_a_key(scene: Scene, headers: dict[str, str]) -> None:
    for method, path in (("POST", "campaigns"), ("GET", "campaigns"), ("POST", "campaigns/any/cancel")):
        answer = requests.request(method, f"{scene.stack.api}/{path}", headers=headers, json={}, timeout=10)
        assert answer.status_code == 401


def test_messages_that_nobody_can_read_are_parked_and_the_queues_go_on(scene: Scene) -> None:
    bad = {
        "index-requests": b"no JSON",
        "campaign-steps": b'{"v": 1, "campaign": "x"',
        "device-batches": b'{"v": 0}',
        "batch-deadlines": b'{"v": 1, "campaign": 7}',
    }
    with ServiceBusClient.from_connection_string(scene.stack.settings["ServiceBus"]) as bus:
        for queue, body in bad.items():
            with bus.get_queue_sender(queue) as sender:
                session = scene.name if queue in ("index-requests", "campaign-steps") else None
                sender.send_messages(ServiceBusMessage(body, session_id=session))
    parked = scene.blobs.get_container_client("parked")
    wait_until(
        lambda: {blob.name.partition("/")[0] for blob in parked.list_blobs()} >= bad.keys(), what="parked messages"
    )

    for blob in parked.list_blobs(include=["metadata"]):
        assert blob.metadata["code"]
        assert blob.metadata["reason"]
    devices = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet(devices):
        scene.wait_for_campaign(scene.start(devices), "completed")
