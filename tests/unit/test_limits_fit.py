"""Limits that stand in different files and depend on each other: host.json, the queues, the templates, the code."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest.mock import patch

import pytest
from azure.functions import Cardinality

from emulator.bus.durations import read_duration_s
from shared.domain.hub_sizes import TIER_LIMITS, HubSize, HubTier
from shared.domain.pacing import CHARGE_PER_DEVICE, REPORTS_PER_DEVICE
from shared.domain.waves import MAX_BATCH_DEVICES
from shared.edge.messages import DELIVERIES_IN_A_ROW, PUT_OFF_S
from shared.handlers.hub_verdicts import retry_at
from shared.handlers.relay_reports import MAX_CALL_BYTES
from shared.handlers.resume_campaigns import OVERDUE_AFTER_S
from shared.handlers.visit_batch import LOST_AFTER_S
from shared.handlers.wakeups import OFFER_AGAIN_S
from shared.handlers.withdraw_batch import IN_HAND_RETRIES
from shared.ports.rollouts import MAX_MOVED
from shared.wire.reports import MAX_BYTES
from shared.wiring.clients import CONNECTIONS
from tests.support.bicep import INFRA, ROOT
from tests.support.functions import FUNCTIONS, read_triggers
from tests.support.rollouts import NOON

HOST = json.loads((ROOT / "host.json").read_text())
BUS = HOST["extensions"]["serviceBus"]
QUEUES: dict[str, dict[str, Any]] = {
    queue["Name"]: queue["Properties"]
    for queue in json.loads((INFRA / "local/servicebus.json").read_text())["UserConfig"]["Namespaces"][0]["Queues"]
}
TRIGGERS = {one["queueName"]: one for one in read_triggers().values() if one["type"] == "serviceBusTrigger"}
BATCHES = {queue for queue, one in TRIGGERS.items() if one.get("cardinality") is Cardinality.MANY}
APP = (INFRA / "modules/app.bicep").read_text()
TABLE_TRANSACTION, SERVICE_BUS_MESSAGE, EVENT_GRID_CALL = 100, 256 * 1024, 1_000_000
LONGEST_LOCK_S = 300
EVENTS_PER_UNIT_S = 1_000


def clock(text: str) -> float:
    """Seconds of a time span as host.json writes it."""
    hours, minutes, seconds = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def lock_s(queue: str) -> float:
    return read_duration_s(QUEUES[queue]["LockDuration"])


def number(pattern: str, source: str) -> int:
    found = re.search(pattern, source)
    assert found is not None, pattern
    return int(found[1])


TIMEOUT_S, RENEWAL_S = clock(HOST["functionTimeout"]), clock(BUS["maxAutoLockRenewalDuration"])
THREADS = number(r"PYTHON_THREADPOOL_THREAD_COUNT: '(\d+)'", APP)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_lock_lasts_as_long_as_its_function_may_run(queue: str) -> None:
    """The host renews the locks of single messages and sessions, never those of batches: these get all there is."""
    if queue in BATCHES:
        assert lock_s(queue) == LONGEST_LOCK_S
    else:
        assert lock_s(queue) <= LONGEST_LOCK_S
        assert RENEWAL_S >= TIMEOUT_S


def test_there_is_a_batch_trigger_at_all() -> None:
    assert {"index-requests"} == BATCHES


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_is_put_off_before_its_queue_gives_it_up(queue: str) -> None:
    assert QUEUES[queue]["MaxDeliveryCount"] > DELIVERIES_IN_A_ROW


@pytest.mark.parametrize("queue", QUEUES)
def test_duplicates_are_remembered_longer_than_anybody_sends_one_again(queue: str) -> None:
    window_s = read_duration_s(QUEUES[queue]["DuplicateDetectionHistoryTimeWindow"])
    assert window_s >= max(PUT_OFF_S, OVERDUE_AFTER_S)
    if queue == "device-batches":
        assert window_s == OFFER_AGAIN_S


def test_an_offer_is_presumed_lost_no_sooner_than_its_message_can_come_again() -> None:
    assert lock_s("device-batches") <= LOST_AFTER_S


def test_withdrawals_wait_for_offers_as_long_as_these_may_be_under_way() -> None:
    with patch("random.uniform", lambda shortest, _longest: shortest):
        waits = [(retry_at(retry, now=NOON) - NOON).total_seconds() for retry in range(IN_HAND_RETRIES)]
    assert sum(waits) >= TIMEOUT_S


def test_a_service_that_stands_still_over_the_holidays_loses_no_message() -> None:
    assert {read_duration_s(queue["DefaultMessageTimeToLive"]) for queue in QUEUES.values()} == {14 * 86_400}


def test_no_instance_takes_more_at_a_time_than_it_has_threads_and_connections_for() -> None:
    http = number(r"http: { perInstanceConcurrency: (\d+) }", APP)
    at_once = (http, BUS["maxConcurrentCalls"], BUS["maxConcurrentSessions"])
    assert max(at_once) <= THREADS <= CONNECTIONS


def test_rows_of_a_batch_fit_one_table_transaction_with_their_counters() -> None:
    assert MAX_BATCH_DEVICES + 1 <= TABLE_TRANSACTION
    assert MAX_MOVED + 2 <= TABLE_TRANSACTION


def test_reports_fit_messages_and_calls() -> None:
    assert MAX_BYTES < SERVICE_BUS_MESSAGE - 64 * 1024
    assert MAX_BYTES < MAX_CALL_BYTES < EVENT_GRID_CALL


def test_the_relay_has_the_next_batch_at_hand_and_events_wait_longer_than_event_grid_tries() -> None:
    hubs = HOST["extensions"]["eventHubs"]
    assert hubs["prefetchCount"] >= hubs["maxEventBatchSize"]
    assert hubs["minEventBatchSize"] == BUS["minMessageBatchSize"] == 1
    days = number(r"messageRetentionInDays: (\d+)", (INFRA / "modules/eventhubs.bicep").read_text())
    subscriptions = json.loads((INFRA / "local/cloud.json").read_text())["eventGrid"]["subscriptions"]
    assert all(one["retry"]["eventTimeToLiveMinutes"] <= days * 1440 for one in subscriptions)
    assert FUNCTIONS["relay_twin_changes"].get_settings_dict("retry_policy")["max_retry_count"] == "-1"


def test_every_event_hub_partition_can_have_a_reader() -> None:
    [hub] = json.loads((INFRA / "local/cloud.json").read_text())["eventHubs"]
    assert hub["partitions"] <= number(r"maximumInstanceCount: (\d+)", APP)


@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_drops_repeats_and_forgets_what_is_too_old_to_matter(queue: str) -> None:
    """An expired wake-up is no loss, so it is not kept among those that somebody must look at."""
    assert QUEUES[queue]["RequiresDuplicateDetection"] is True
    assert QUEUES[queue]["DeadLetteringOnMessageExpiration"] is False


def test_the_event_hub_takes_what_the_largest_hub_lets_devices_report() -> None:
    largest = HubSize(tier=HubTier.S3, units=TIER_LIMITS[HubTier.S3].max_units)
    reports_per_s = largest.twin_updates_per_s * REPORTS_PER_DEVICE / CHARGE_PER_DEVICE
    units = number(r"maximumThroughputUnits: (\d+)", (INFRA / "modules/eventhubs.bicep").read_text())
    assert units * EVENTS_PER_UNIT_S >= reports_per_s
