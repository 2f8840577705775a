"""An old instance beside a new one: what it cannot read waits, nothing is set aside, and it goes on afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cli.__main__ import main
from demo.devices import register
from shared.domain.ids import CampaignId
from shared.ports.bus import Queue
from shared.wire.messages import CampaignStep, write_message
from tests.support.scenario import kill_and_restart, run_timer
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until


@contextmanager
def written_by_a_newer_version(scene: Scene, campaign: str) -> Iterator[None]:
    """The row says something that this version does not know; afterwards it says so no more."""
    [row] = scene.tables.query("campaigns", "PartitionKey eq @id and RowKey eq 'campaign'", id=campaign)
    spec = json.loads(row["spec"])
    key = {"PartitionKey": campaign, "RowKey": "campaign"}
    scene.tables.update("campaigns", {**key, "spec": json.dumps(spec | {"novelty": 1})})
    try:
        yield
    finally:
        scene.tables.update("campaigns", {**key, "spec": row["spec"]})


def send(scene: Scene, queue: Queue, body: bytes, session: str | None = None) -> None:
    """Put a message into a queue."""
    with (
        ServiceBusClient.from_connection_string(scene.stack.settings["ServiceBus"]) as client,
        client.get_queue_sender(queue) as sender,
    ):
        sender.send_messages(ServiceBusMessage(body, session_id=session))


def count(scene: Scene, kind: str, queue: Queue) -> int:
    """Messages of a kind in a queue."""
    found: int = scene.stack.cloud.control.status()["queues"][queue][kind]
    return found


def is_put_off(scene: Scene, queue: Queue, before: int) -> bool:
    """Whether more messages of the queue wait for later than did before."""
    return count(scene, "scheduled", queue) > before


def parked(scene: Scene) -> set[str]:
    """What was set aside so far."""
    return {blob.name for blob in scene.blobs.get_container_client("parked").list_blobs()}


@pytest.mark.timeout(240)
def test_what_a_newer_version_wrote_waits_for_it(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    devices = scene.devices(3)
    scene.artifacts.publish()
    register(scene.stack.settings["IotHub"], devices)
    campaign = scene.start(devices, waves=[{"count": 2}, {"rest": True}])
    wait_until(lambda: list(scene.tables.states(campaign).values()).count("offered") == 2, what="the first wave")
    scene.stack.cloud.wait_until_quiet()
    set_aside, dead = parked(scene), count(scene, "dead_letter", Queue.CAMPAIGN_STEPS)
    later = {queue: count(scene, "scheduled", queue) for queue in Queue}

    with written_by_a_newer_version(scene, campaign):
        kill_and_restart(scene.stack)  # so that nothing is remembered of the row
        before = scene.tables.query("campaigns", "PartitionKey eq @id", id=campaign)
        for answer in (scene.get(f"campaigns/{campaign}"), scene.act(campaign, "pause")):
            assert (answer.status_code, answer.json()["code"]) == (503, "unreadable_row")
            assert answer.headers["Retry-After"] == "10"
        assert (
            main(["campaign", "list", f"--api={scene.stack.api}", f"--function-key={scene.stack.cloud.host_key}"]) == 0
        )
        assert f"{campaign} is not shown: this version of the service cannot read it" in capsys.readouterr().out

        send(scene, Queue.CAMPAIGN_STEPS, write_message(CampaignStep(campaign=CampaignId(campaign))), campaign)
        send(scene, Queue.DEVICE_BATCHES, json.dumps({"v": 2, "campaign": campaign, "novelty": 1}).encode())
        for queue in (Queue.CAMPAIGN_STEPS, Queue.DEVICE_BATCHES):
            wait_until(partial(is_put_off, scene, queue, later[queue]), timeout_s=30, what=queue)
        run_timer(scene.stack, "every_minute_resume")
        run_timer(scene.stack, "every_hour_reconcile")
        assert count(scene, "dead_letter", Queue.CAMPAIGN_STEPS) == dead
        assert parked(scene) == set_aside
        assert scene.tables.query("campaigns", "PartitionKey eq @id", id=campaign) == before

    with scene.fleet(devices):
        scene.wait_for_campaign(campaign, "completed", timeout_s=90)
    assert set(scene.tables.states(campaign).values()) == {"succeeded"}
