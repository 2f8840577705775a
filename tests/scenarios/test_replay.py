"""What was set aside is sent again by an operator, over the wire, and nothing of it is lost."""

from __future__ import annotations

import hashlib
import json

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cli.__main__ import main
from shared.domain.ids import CampaignId
from shared.ports.bus import Queue
from shared.wire.messages import CampaignStep, write_message
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until


def run(scene: Scene, *arguments: str) -> int:
    """The command, told where everything is."""
    settings = scene.stack.settings
    return main(["replay", "--storage", settings["Storage"], "--bus", settings["ServiceBus"], *arguments])


def parked(scene: Scene, campaign: str) -> list[str]:
    """Names of the parked messages about a campaign."""
    container = scene.blobs.get_container_client("parked")
    bodies = {blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()}
    return [name for name, body in bodies.items() if campaign.encode() in body]


def send(scene: Scene, queue: Queue, body: bytes, session: str | None = None) -> None:
    """Put a message into a queue."""
    with bus(scene) as client, client.get_queue_sender(queue) as sender:
        sender.send_messages(ServiceBusMessage(body, session_id=session))


def bus(scene: Scene) -> ServiceBusClient:
    """The bus, through the real SDK."""
    return ServiceBusClient.from_connection_string(scene.stack.settings["ServiceBus"])


def test_a_parked_message_is_listed_tried_and_sent_again_once_its_reason_is_gone(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step of a campaign that is not there yet; then it is posted, and the step is taken."""
    key = f"{scene.name}-key"
    campaign = f"c{hashlib.sha256(key.encode()).hexdigest()[:20]}"
    send(scene, Queue.CAMPAIGN_STEPS, write_message(CampaignStep(campaign=CampaignId(campaign), step=1)), campaign)
    [name] = wait_until(lambda: parked(scene, campaign), timeout_s=20, what="the parked step")

    capsys.readouterr()
    assert run(scene, "--queue", "campaign-steps") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert "not_found" in line
    assert run(scene, "--dry-run", f"parked/{name}") == 0
    assert f"would go to campaign-steps: parked/{name}" in capsys.readouterr().out
    assert parked(scene, campaign) == [name]
    assert run(scene, "parked/nobody") == 1
    assert "not set aside (any more): parked/nobody" in capsys.readouterr().err

    scene.artifacts.publish()
    assert scene.start(scene.devices(1), key=key) == campaign
    assert run(scene, f"parked/{name}") == 0
    assert "1 of 1 were sent again" in capsys.readouterr().out
    scene.stack.cloud.wait_until_quiet()
    assert parked(scene, campaign) == []


def test_a_dead_letter_goes_back_through_the_function_that_takes_it(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here it is refused with a reason and parked: seen by its function, and still not lost."""
    marker = f"{scene.name}-dead"
    scene.stack.cloud.stop_functions()
    send(scene, Queue.DEVICE_BATCHES, json.dumps({"v": 0, "campaign": marker}).encode())
    with bus(scene) as client, client.get_queue_receiver(Queue.DEVICE_BATCHES) as receiver:
        [message] = receiver.receive_messages(1, max_wait_time=5)
        receiver.dead_letter_message(message, reason="TooOften")
    scene.stack.cloud.restart_functions()
    capsys.readouterr()
    assert run(scene, "--queue", "device-batches") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("dead/device-batches/")]
    assert "TooOften" in line
    assert run(scene, line.split()[0]) == 0
    assert wait_until(lambda: parked(scene, marker), timeout_s=20, what="the parked work")
    assert run(scene, "--queue", "device-batches") == 0
    assert "dead/" not in capsys.readouterr().out.partition("sent again")[2]
