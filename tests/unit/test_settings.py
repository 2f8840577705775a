"""Settings are read once, and every complaint is made at once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.settings import SettingsError, TwinWriterKind, read_settings
from tests.support.settings import complete_environment


def test_a_complete_environment_is_read_with_sound_defaults() -> None:
    settings = read_settings(complete_environment())

    assert settings.iot_hub.host == "hub.example"
    assert settings.twin_updates_per_s == 50
    assert settings.shards == 1
    assert settings.twin_writer is TwinWriterKind.PATCH
    assert settings.reconcile_quiet == timedelta(minutes=30)


def test_a_fleet_that_cannot_wait_says_when_a_row_counts_as_quiet() -> None:
    settings = read_settings(complete_environment() | {"RECONCILE_QUIET_S": "5"})

    assert settings.reconcile_quiet == timedelta(seconds=5)


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"HUB_TIER": "S9", "LINK_LIFETIME_S": "many"})

    for name in ("Storage__blobServiceUri", "ServiceBus", "IotHub__hostName", "REPORTS_TOPIC_ENDPOINT", "KEYS_URI"):
        assert name in caught.value.message
    assert "HUB_TIER must be one of F1, S1, S2, S3, not 'S9'" in caught.value.message
    assert "LINK_LIFETIME_S must be a whole number above 0, not 'many'" in caught.value.message


@pytest.mark.parametrize(
    ("tier", "units", "updates_per_s", "shards"),
    [("S1", "200", 50, 1), ("S2", "20", 100, 1), ("S3", "1", 250, 1), ("S3", "10", 2500, 3)],
)
def test_shards_follow_the_hub(tier: str, units: str, updates_per_s: float, shards: int) -> None:
    settings = read_settings(complete_environment() | {"HUB_TIER": tier, "HUB_UNITS": units})

    assert (settings.twin_updates_per_s, settings.shards) == (updates_per_s, shards)


@pytest.mark.parametrize("text", ["{", '{"current": "a", "keys": {}}', '{"current": "a", "keys": {"a": "00"}}', "[1]"])
def test_ticket_keys_that_cannot_work_are_complained_about(text: str) -> None:
    with pytest.raises(SettingsError, match="TICKET_KEYS"):
        read_settings(complete_environment() | {"TICKET_KEYS": text})


def test_a_setting_shown_by_accident_shows_no_key() -> None:
    environment = complete_environment()
    secret = json.loads(environment["TICKET_KEYS"])["keys"]["one"]
    environment |= {"REPORTS_TOPIC_KEY": "topic-key-value"}

    shown = repr(read_settings(environment))

    assert secret not in shown
    assert bytes.fromhex(secret).__repr__() not in shown
    assert "SharedAccessKey" not in shown
    assert "topic-key-value" not in shown
