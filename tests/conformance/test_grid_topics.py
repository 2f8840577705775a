"""Event Grid topics with the real publisher client, delivering to the functions host."""

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
from azure.storage.blob import ContainerClient

from emulator.local import LocalCloud
from tests.support.cloud import Journal
from tests.support.waiting import wait_until


def publisher(cloud: LocalCloud, topic: str, key: str | None = None) -> EventGridPublisherClient:
    credential = AzureKeyCredential(key or cloud.settings[f"{topic}_TOPIC_KEY"])
    return EventGridPublisherClient(cloud.settings[f"{topic}_TOPIC_ENDPOINT"], credential)


def cloud_event(data: dict[str, Any], event_type: str = "sample.thing") -> CloudEvent:
    return CloudEvent(source="/tests", type=event_type, data=data)


def dead_letters(cloud: LocalCloud, wanted_id: str) -> list[dict[str, Any]]:
    """Dead-lettered events with this id, with the blob they lie in."""
    container = ContainerClient.from_connection_string(cloud.settings["Storage"], "dead-events")
    found = []
    for blob in container.list_blobs():
        events = json.loads(container.download_blob(blob.name).readall())
        found += [event | {"blob": blob.name} for event in events if event["id"] == wanted_id]
    return found


def test_cloud_events_of_one_batch_reach_the_function_one_by_one(cloud: LocalCloud, journal: Journal) -> None:
    events = [cloud_event({"number": number}) for number in range(5)]
    publisher(cloud, "CLOUD_EVENTS").send(events)
    ids = {event.id for event in events}
    seen = journal.wait_for("on_cloud_event", lambda entry: entry["id"] in ids, count=5)
    assert sorted(entry["data"]["number"] for entry in seen) == [0, 1, 2, 3, 4]
    assert {(entry["type"], entry["source"]) for entry in seen} == {("sample.thing", "/tests")}


def test_events_in_event_grids_own_schema_reach_the_function(cloud: LocalCloud, journal: Journal) -> None:
    event = EventGridEvent(subject="things/1", event_type="sample.thing", data={"a": 1}, data_version="1")
    publisher(cloud, "GRID_EVENTS").send(event)
    (seen,) = journal.wait_for("on_grid_event", lambda entry: entry["id"] == str(event.id))
    assert (seen["type"], seen["subject"], seen["data"]) == ("sample.thing", "things/1", {"a": 1})


def test_a_wrong_key_an_unknown_topic_and_an_oversized_publish_are_refused(cloud: LocalCloud) -> None:
    wrong_key = cloud.settings["GRID_EVENTS_TOPIC_KEY"]
    with pytest.raises(ClientAuthenticationError):
        publisher(cloud, "CLOUD_EVENTS", wrong_key).send(cloud_event({}))
    endpoint = cloud.settings["CLOUD_EVENTS_TOPIC_ENDPOINT"].replace("cloud-events", "no-such-topic")
    with pytest.raises(ResourceNotFoundError):
        EventGridPublisherClient(endpoint, AzureKeyCredential(wrong_key)).send(cloud_event({}))
    with pytest.raises(HttpResponseError) as refused:
        publisher(cloud, "CLOUD_EVENTS").send([cloud_event({"x": "y" * 400_000})] * 3)
    assert refused.value.status_code == 413


def test_a_sas_token_is_accepted_until_it_expires(cloud: LocalCloud, journal: Journal) -> None:
    endpoint = cloud.settings["CLOUD_EVENTS_TOPIC_ENDPOINT"]
    key = cloud.settings["CLOUD_EVENTS_TOPIC_KEY"]
    now = datetime.now(UTC)
    event = cloud_event({})
    token = generate_sas(endpoint, key, now + timedelta(hours=1))
    EventGridPublisherClient(endpoint, AzureSasCredential(token)).send(event)
    journal.wait_for("on_cloud_event", lambda entry: entry["id"] == event.id)
    expired = generate_sas(endpoint, key, now - timedelta(minutes=1))
    with pytest.raises(ClientAuthenticationError):
        EventGridPublisherClient(endpoint, AzureSasCredential(expired)).send(event)


def test_a_malformed_event_is_refused(cloud: LocalCloud) -> None:
    headers = {
        "aeg-sas-key": cloud.settings["CLOUD_EVENTS_TOPIC_KEY"],
        "content-type": "application/cloudevents+json",
    }
    url = cloud.settings["CLOUD_EVENTS_TOPIC_ENDPOINT"]
    for body in ("{", "[1]", json.dumps({"id": "1", "source": "/x", "specversion": "1.0"})):
        assert requests.post(url, data=body, headers=headers, timeout=10).status_code == 400


def test_an_event_that_failed_once_is_delivered_again(cloud: LocalCloud, journal: Journal) -> None:
    event = cloud_event({"fail": "always"})
    publisher(cloud, "CLOUD_EVENTS").send(event)
    seen = journal.wait_for("on_cloud_event", lambda entry: entry["id"] == event.id, count=4)
    waits_s = [later["at"] - earlier["at"] for earlier, later in itertools.pairwise(seen)]
    assert waits_s[0] >= 0.3  # 10 s of Azure's schedule, scaled by 0.03
    assert waits_s[1] >= 0.9
    (letter,) = wait_until(lambda: dead_letters(cloud, event.id))
    assert letter["deadletterreason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["deliveryattempts"] == 4
    assert letter["lasthttpstatuscode"] == 500
    assert letter["data"] == {"fail": "always"}
    assert letter["blob"].startswith("cloud-events/TO-CLOUD-EVENTS/")


def test_what_nobody_can_take_is_dead_lettered(cloud: LocalCloud) -> None:
    event = EventGridEvent(subject="x", event_type="sample.lost", data={}, data_version="1")
    publisher(cloud, "GRID_EVENTS").send(event)
    (letter,) = wait_until(lambda: dead_letters(cloud, str(event.id)))
    assert (letter["lastDeliveryOutcome"], letter["deliveryAttempts"]) == ("NotFound", 2)


def test_events_published_while_the_host_is_down_arrive_after_its_restart(cloud: LocalCloud, journal: Journal) -> None:
    cloud.kill_functions()
    event = cloud_event({"id": str(uuid.uuid4())})
    publisher(cloud, "CLOUD_EVENTS").send(event)
    counts = cloud.control.status()["subscriptions"]["to-cloud-events"]
    wait_until(
        lambda: (
            cloud.control.status()["subscriptions"]["to-cloud-events"]["failed_attempts"] > counts["failed_attempts"]
        )
    )
    cloud.restart_functions()
    journal.wait_for("on_cloud_event", lambda entry: entry["id"] == event.id)


def test_the_webhook_needs_its_key(cloud: LocalCloud) -> None:
    url = f"{cloud.functions_url}/runtime/webhooks/EventGrid"
    query = {"functionName": "on_cloud_event"}
    assert requests.post(url, params=query, json=[], timeout=10).status_code == 401
    keyed = query | {"code": cloud.keys.event_grid}
    hello = [{"data": {"validationCode": "123"}}]
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = requests.post(url, params=keyed, json=hello, headers=headers, timeout=10)
    assert answer.json() == {"validationResponse": "123"}
