"""Service Bus triggers with the real SDK on both sides of the bus."""

import json
import uuid
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from emulator.local import LocalCloud
from tests.support.cloud import Entry, Journal
from tests.support.waiting import wait_until


def send(cloud: LocalCloud, queue: str, commands: list[dict[str, Any]], session: str | None = None) -> list[str]:
    """Send commands in one batch; the message ids."""
    messages = [
        ServiceBusMessage(
            json.dumps(command),
            message_id=str(uuid.uuid4()),
            session_id=session,
            subject="a subject",
            application_properties={"colour": "blue", "number": 7},
        )
        for command in commands
    ]
    with (
        ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"]) as client,
        client.get_queue_sender(queue) as sender,
    ):
        sender.send_messages(messages)
    return [str(message.message_id) for message in messages]


def test_a_function_sees_the_message_and_its_properties(cloud: LocalCloud, journal: Journal) -> None:
    (message_id,) = send(cloud, "singles", [{}])
    (seen,) = journal.wait_for("on_single", lambda entry: entry["id"] == message_id)
    assert seen["delivery_count"] == 1
    assert seen["properties"] == {"colour": "blue", "number": 7}
    assert seen["subject"] == "a subject"
    assert seen["enqueued"].endswith("+00:00")
    assert seen["sequence_number"] >= 1


def test_a_failing_function_gets_its_message_again_until_it_is_dead_lettered(
    cloud: LocalCloud, journal: Journal
) -> None:
    (message_id,) = send(cloud, "singles", [{"fail": "always"}])
    seen = journal.wait_for("on_single", lambda entry: entry["id"] == message_id, count=5)
    assert [entry["delivery_count"] for entry in seen] == [1, 2, 3, 4, 5]
    with (
        ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"]) as client,
        client.get_queue_receiver("singles", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead,
    ):
        (message,) = dead.receive_messages(max_wait_time=10)
        assert message.message_id == message_id
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
        dead.complete_message(message)
    assert len(journal.entries("on_single", lambda entry: entry["id"] == message_id)) == 5


def test_single_messages_run_at_the_same_time_up_to_max_concurrent_calls(cloud: LocalCloud, journal: Journal) -> None:
    ids = send(cloud, "singles", [{"sleep_s": 1.5}] * 8)
    done = journal.wait_for("on_single.done", lambda entry: entry["id"] in ids, count=8)
    begun = journal.entries("on_single", lambda entry: entry["id"] in ids)
    assert 1 < most_at_once(begun, done) <= 4


def most_at_once(begun: list[Entry], done: list[Entry]) -> int:
    """The highest number of executions under way at one moment."""
    changes = sorted([(each["at"], 1) for each in begun] + [(each["at"], -1) for each in done])
    running, most = 0, 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def test_a_lock_is_renewed_while_a_function_runs(cloud: LocalCloud, journal: Journal) -> None:
    (message_id,) = send(cloud, "singles", [{"sleep_s": 5}])  # the queue's lock lasts 3 s
    journal.wait_for("on_single.done", lambda entry: entry["id"] == message_id)
    wait_until(lambda: cloud.control.status()["queues"]["singles"]["active"] == 0)
    assert len(journal.entries("on_single", lambda entry: entry["id"] == message_id)) == 1


def test_a_batch_trigger_gets_many_messages_in_one_call(cloud: LocalCloud, journal: Journal) -> None:
    ids = send(cloud, "batches", [{} for _ in range(40)])

    def calls() -> list[Entry]:
        return journal.entries("on_batch", lambda entry: set(entry["ids"]) <= set(ids))

    wait_until(lambda: sum(len(call["ids"]) for call in calls()) == 40)
    assert len(calls()) < 10
    assert all(each == {"colour": "blue", "number": 7} for call in calls() for each in call["properties"])


def test_one_bad_message_makes_its_whole_batch_come_again(cloud: LocalCloud, journal: Journal) -> None:
    ids = send(cloud, "batches", [{}, {"fail": "always"}, {}])

    def counts() -> dict[str, list[int]]:
        found: dict[str, list[int]] = {message_id: [] for message_id in ids}
        for call in journal.entries("on_batch"):
            for message_id, count in zip(call["ids"], call["counts"], strict=True):
                if message_id in found:
                    found[message_id].append(count)
        return found

    wait_until(lambda: len(counts()[ids[1]]) == 5)
    assert counts()[ids[1]] == [1, 2, 3, 4, 5]
    assert len(counts()[ids[0]]) > 1, "a healthy neighbour shares the fate of its batch"


def test_a_session_keeps_its_order_and_sessions_run_side_by_side(cloud: LocalCloud, journal: Journal) -> None:
    names = [f"{name}-{uuid.uuid4()}" for name in "abc"]
    for name in names:
        send(cloud, "sessions", [{"number": number, "sleep_s": 0.3} for number in range(5)], session=name)
    done = journal.wait_for("on_session.done", lambda entry: entry["session"] in names, count=15)
    begun = journal.entries("on_session", lambda entry: entry["session"] in names)
    for name in names:
        assert [entry["number"] for entry in begun if entry["session"] == name] == [0, 1, 2, 3, 4]
        of_one = [entry for entry in begun if entry["session"] == name]
        assert most_at_once(of_one, [entry for entry in done if entry["session"] == name]) == 1
    assert most_at_once(begun, done) > 1


def test_a_batch_of_a_session_queue_holds_one_session(cloud: LocalCloud, journal: Journal) -> None:
    names = [str(uuid.uuid4()), str(uuid.uuid4())]
    for name in names:
        send(cloud, "session-batches", [{} for _ in range(6)], session=name)

    def calls() -> list[Entry]:
        return journal.entries("on_session_batch", lambda entry: set(entry["sessions"]) <= set(names))

    wait_until(lambda: sum(call["count"] for call in calls()) == 12)
    assert all(len(call["sessions"]) == 1 for call in calls())
    assert max(call["count"] for call in calls()) > 1


def test_a_killed_host_loses_nothing_and_the_message_comes_again(cloud: LocalCloud, journal: Journal) -> None:
    (message_id,) = send(cloud, "singles", [{"sleep_s": 2}])
    journal.wait_for("on_single", lambda entry: entry["id"] == message_id)
    cloud.kill_functions()
    assert journal.entries("on_single.done", lambda entry: entry["id"] == message_id) == []
    cloud.restart_functions()
    journal.wait_for("on_single.done", lambda entry: entry["id"] == message_id)
    seen = journal.entries("on_single", lambda entry: entry["id"] == message_id)
    assert [entry["delivery_count"] for entry in seen] == [1, 2]
