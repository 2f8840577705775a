"""Settings are read once, and every complaint is made at once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.settings import AuthMode, SettingsError, TwinWriterKind, read_auth_mode, read_settings
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


def test_rows_are_kept_for_ever_unless_somebody_says_for_how_long() -> None:
    assert read_settings(complete_environment()).retention is None
    assert read_settings(complete_environment() | {"RETENTION_DAYS": "0"}).retention is None
    assert read_settings(complete_environment() | {"RETENTION_DAYS": "90"}).retention == timedelta(days=90)
    for text in ("-1", "soon", "1.5"):
        with pytest.raises(SettingsError, match="RETENTION_DAYS must be a whole number of days"):
            read_settings(complete_environment() | {"RETENTION_DAYS": text})


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


def test_tokens_are_demanded_with_a_tenant_and_an_audience() -> None:
    entra = {"AUTH_MODE": "entra", "ENTRA_TENANT_ID": "t1", "ENTRA_AUDIENCE": "api://groundswell"}
    settings = read_settings(complete_environment() | entra)

    assert settings.tokens is not None
    assert settings.tokens.policy.issuer == "https://login.microsoftonline.com/t1/v2.0"
    assert settings.tokens.jwks_uri == "https://login.microsoftonline.com/t1/discovery/v2.0/keys"
    assert read_settings(complete_environment()).tokens is None


def test_token_settings_that_cannot_work_are_complained_about() -> None:
    wrong = {"AUTH_MODE": "entra", "ENTRA_JWKS_URI": "http://login.example/keys"}
    with pytest.raises(SettingsError) as caught:
        read_settings(complete_environment() | wrong)
    for name in ("ENTRA_TENANT_ID is missing", "ENTRA_AUDIENCE is missing", "ENTRA_JWKS_URI must begin with https://"):
        assert name in caught.value.message
    with pytest.raises(SettingsError, match="AUTH_MODE must be keys or entra, not 'Entra'"):
        read_settings(complete_environment() | {"AUTH_MODE": "Entra"})


@pytest.mark.parametrize("mode", ["", "keys", "Entra", "none"])
def test_the_host_keeps_the_door_unless_tokens_are_asked_for_in_so_many_words(mode: str) -> None:
    assert read_auth_mode({"AUTH_MODE": mode}) is AuthMode.KEYS
    assert read_auth_mode({"AUTH_MODE": "entra"}) is AuthMode.ENTRA


def test_a_setting_shown_by_accident_shows_no_key() -> None:
    environment = complete_environment()
    secret = json.loads(environment["TICKET_KEYS"])["keys"]["one"]
    environment |= {"REPORTS_TOPIC_KEY": "topic-key-value"}

    shown = repr(read_settings(environment))

    assert secret not in shown
    assert bytes.fromhex(secret).__repr__() not in shown
    assert "SharedAccessKey" not in shown
    assert "topic-key-value" not in shown
