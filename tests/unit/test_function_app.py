"""The triggers, the queues' configuration and the local cloud's subscriptions name the same things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.ports.bus import Queue
from tests.support.functions import FUNCTIONS, read_triggers

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def triggers() -> dict[str, dict[str, Any]]:
    """Function name to the fields of its trigger."""
    return read_triggers()


@pytest.fixture(scope="module")
def queues() -> dict[str, dict[str, Any]]:
    document = json.loads((PROJECT / "infra/local/servicebus.json").read_text())
    [namespace] = document["UserConfig"]["Namespaces"]
    return {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}


def test_every_queue_has_one_function_and_the_same_sessions(
    triggers: dict[str, dict[str, Any]], queues: dict[str, dict[str, Any]]
) -> None:
    bound = {fields["queueName"]: fields for fields in triggers.values() if fields["type"] == "serviceBusTrigger"}

    assert bound.keys() == queues.keys() == {queue.value for queue in Queue}
    for name, fields in bound.items():
        assert bool(fields.get("isSessionsEnabled")) == queues[name]["RequiresSession"], name


def test_every_subscription_leads_to_an_event_grid_function(triggers: dict[str, dict[str, Any]]) -> None:
    cloud = json.loads((PROJECT / "infra/local/cloud.json").read_text())
    subscribed = {subscription["function"] for subscription in cloud["eventGrid"]["subscriptions"]}

    assert subscribed == {name for name, fields in triggers.items() if fields["type"] == "eventGridTrigger"}


def test_operators_need_a_key_and_devices_a_ticket(triggers: dict[str, dict[str, Any]]) -> None:
    levels = {name: fields["authLevel"].name for name, fields in triggers.items() if fields["type"] == "httpTrigger"}

    anonymous = {name for name, level in levels.items() if level == "ANONYMOUS"}
    assert anonymous == {"get_repository", "get_download", "put_log", "get_health", "get_openapi"}
    assert set(levels.values()) == {"ANONYMOUS", "FUNCTION"}


def test_the_relay_never_gives_up() -> None:
    retry = FUNCTIONS["relay_twin_changes"].get_settings_dict("retry_policy")

    assert (retry["strategy"], retry["max_retry_count"]) == ("exponential_backoff", "-1")


def test_every_trigger_says_in_a_sentence_what_happened() -> None:
    for name, function in FUNCTIONS.items():
        assert function.get_user_function().__doc__, name
