"""While settings are wrong everything waits, and nothing is lost."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

import pytest
import requests
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cli.local import LocalStack
from shared.domain.ids import DeviceId
from shared.ports.bus import Queue
from tests.support.scenario import functions_log, functions_told, run_timer
from tests.support.scenario_artifacts import image
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until

WRONG = {
    "HUB_TIER": "S9",
    "HUB_UNITS": "-1",
    "TWIN_WRITER": "both",
    "TICKET_KEYS": "{",
    "AUTH_MODE": "entra",
    "ENTRA_TENANT_ID": "",
    "KEYS_URI": "vault",
    "TRUST_POLICY": "nowhere.toml",
    "EVENTS_TOPIC_ENDPOINT": "",
    "Storage__blobServiceUri": "https://other.blob.example",
}
COMPLAINTS = [
    "HUB_TIER must be one of F1, S1, S2, S3, not 'S9'",
    "HUB_UNITS must be a whole number above 0, not '-1'",
    "TWIN_WRITER must be patch or bulk, not 'both'",
    "TICKET_KEYS must be JSON",
    "ENTRA_TENANT_ID is missing: AUTH_MODE is entra",
    "KEYS_URI must begin with https:// (a Key Vault) or file: (a folder), not 'vault'",
    "TRUST_POLICY names a file that cannot be read: No such file or directory",
    "EVENTS_TOPIC_ENDPOINT is missing",
    "Storage and Storage__blobServiceUri contradict each other",
]
SESSIONS = {Queue.INDEX_REQUESTS, Queue.CAMPAIGN_STEPS, Queue.OPERATION_STEPS, Queue.REPORT_BACKLOG}


def queues(stack: LocalStack) -> Mapping[str, Mapping[str, int]]:
    """Counts by queue."""
    found: Mapping[str, Mapping[str, int]] = stack.cloud.control.status()["queues"]
    return found


def count(stack: LocalStack, kind: str) -> dict[str, int]:
    """Messages of a kind by queue."""
    return {name: counts[kind] for name, counts in queues(stack).items()}


def fill_every_queue(scene: Scene) -> None:
    """One message for each function, which its function sets aside as soon as it can look at it."""
    with ServiceBusClient.from_connection_string(scene.stack.settings["ServiceBus"]) as client:
        for queue in Queue:
            body = json.dumps({"v": 0, "marker": f"{scene.name}-{queue}"}).encode()
            with client.get_queue_sender(queue) as sender:
                sender.send_messages(ServiceBusMessage(body, session_id=scene.name if queue in SESSIONS else None))


def looked_at(scene: Scene) -> set[str]:
    """The queues whose message was taken by its function."""
    container = scene.blobs.get_container_client("parked")
    bodies = [container.download_blob(blob.name).readall() for blob in container.list_blobs()]
    return {queue for queue in Queue for body in bodies if f"{scene.name}-{queue}".encode() in body}


def failures(stack: LocalStack, function: str) -> int:
    """How often a function has failed so far."""
    return sum(f"[{function} " in line and "] failed" in line for line in functions_log(stack).splitlines())


@pytest.mark.timeout(300)
def test_messages_events_and_artifacts_wait_until_the_settings_are_mended(scene: Scene) -> None:
    """Each kind of trigger has something to do: six queues, the event hub, Event Grid, and a dropped artifact."""
    stack = scene.stack
    returns, goes = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet([returns, goes]) as fleet:
        campaign = scene.start([returns, goes])
        scene.wait_for_campaign(campaign, "completed")
        stack.cloud.wait_until_quiet()
        dead, scheduled = count(stack, "dead_letter"), count(stack, "scheduled")

        with functions_told(stack, WRONG):
            health = requests.get(f"{stack.api}/health", timeout=10)
            assert health.status_code == 503
            for complaint in COMPLAINTS:
                assert complaint in health.json()["complaints"]["settings"]
            refused = scene.post("campaigns", scene.request([returns]))
            assert (refused.status_code, refused.json()["code"]) == (503, "settings_wrong")

            fill_every_queue(scene)
            before = {name: failures(stack, name) for name in ("relay_twin_changes", "on_device_lifecycle")}
            fleet.regress(DeviceId(returns))
            scene.registry.delete_device(goes)
            scene.artifacts.drop(image(scene.name, "3.0.0"), "3.0.0")

            wait_until(
                lambda: all(count(stack, "scheduled")[queue] > scheduled[queue] for queue in Queue),
                timeout_s=30,
                what="every message to be put off",
            )
            wait_until(
                lambda: all(
                    failures(stack, name) > number + (name == "relay_twin_changes") for name, number in before.items()
                ),
                timeout_s=30,
                what="the relay to try again, and Event Grid to be refused",
            )
            assert count(stack, "dead_letter") == dead
            assert looked_at(scene) == set()

        wait_until(lambda: looked_at(scene) == set(Queue), timeout_s=60, what="every queue's message to be looked at")
        assert count(stack, "dead_letter") == dead
        scene.wait_for_states(campaign, {returns: "regressed"})
        run_timer(stack, "every_hour_reconcile")
        scene.artifacts.wait_for_package("3.0.0")
        wait_until(lambda: deleted(scene, goes), timeout_s=60, what="the deletion to be noted")


def deleted(scene: Scene, device: str) -> bool:
    """Whether the device's row says that the hub knows it no more."""
    return any(row.get("deleted_at") for row in scene.tables.query("devices", "device eq @device", device=device))


def test_health_says_which_role_is_missing_on_which_resource(scene: Scene) -> None:
    """The hub does not take the service's key, and the vault shows it no key: both are told at once."""
    stack = scene.stack
    hub, _, key = stack.settings["IotHub"].partition("SharedAccessKey=")
    other = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()
    with functions_told(stack, {"IotHub": f"{hub}SharedAccessKey={other}"}):
        stack.cloud.control.set_vault_fault(403, operation="list", count=100)
        try:
            health = requests.get(f"{stack.api}/health", timeout=30)
        finally:
            stack.cloud.control.clear_vault_faults()
        assert health.status_code == 503
        complaints = health.json()["complaints"]
        assert set(complaints) == {"hub", "keys"}
        assert "Groundswell Twin Writer (app control), Groundswell Twin Reader (app field)" in complaints["hub"]
        assert "a role on the key intents: Groundswell Key Signer (app control)" in complaints["keys"]
        assert complaints["hub"] in functions_log(stack)
        assert other not in functions_log(stack)

    assert requests.get(f"{stack.api}/health", timeout=30).status_code == 200
