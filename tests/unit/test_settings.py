"""Settings are read once, and every complaint is made at once."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from shared.configuration.listed import UsedBy
from shared.settings import (
    SETTINGS,
    AuthMode,
    SettingsError,
    TwinWriterKind,
    read_auth_mode,
    read_bus_connection,
    read_settings,
)
from tests.support.settings import complete_environment

PROJECT = Path(__file__).parents[2]


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
    assert "LINK_LIFETIME_S must be a whole number of 1 to 43200, not 'many'" in caught.value.message


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


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("Storage", "AccountName=a;AccountKey=!", "Storage is no connection string: AccountKey is not Base64"),
        ("Storage", "AccountName=a", "AccountKey is missing in it"),
        ("ServiceBus", "bus.example", "Endpoint, SharedAccessKeyName, SharedAccessKey is missing in it"),
        ("EventHub", "Endpoint=sb://x/", "EventHub is no connection string"),
        ("IotHub__hostName", "https://hub.example", "IotHub__hostName must be a host name without https://"),
        ("REPORTS_TOPIC_ENDPOINT", "ftp://topic.example", "REPORTS_TOPIC_ENDPOINT must begin with https://"),
        ("EVENTS_TOPIC_ENDPOINT", "https://", "EVENTS_TOPIC_ENDPOINT must name a host"),
        ("HUB_UNITS", "-1", "HUB_UNITS must be a whole number above 0, not '-1'"),
        ("HUB_UNITS", "9" * 5000, "HUB_UNITS must be a whole number above 0, not what is set (5000 characters)"),
        ("HUB_UNITS", "²", "HUB_UNITS must be a whole number above 0"),
        ("TWIN_WRITER", "both", "TWIN_WRITER must be patch or bulk, not 'both'"),
        ("KEYS_URI", "vault", "KEYS_URI must begin with https:// (a Key Vault) or file: (a folder), not 'vault'"),
        ("KEYS_URI", "https://v.example/keys/one", "KEYS_URI must begin with https:// (a Key Vault)"),
        ("KEYS_URI", "file:", "KEYS_URI must begin with"),
        ("LINK_LIFETIME_S", "86400", "LINK_LIFETIME_S must be a whole number of 1 to 43200"),
        ("BANDWIDTH_BYTES_PER_S", "10", "BANDWIDTH_BYTES_PER_S must be a whole number of at least 1024, not '10'"),
        ("DOWNLOAD_BASE_URL", "cdn.example", "DOWNLOAD_BASE_URL must begin with https://"),
        ("TICKET_KEYS", "@Microsoft.KeyVault(VaultName=v;SecretName=s)", "a reference that the platform did not"),
    ],
)
def test_what_a_setting_cannot_be_is_named(name: str, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(complete_environment() | {name: text})
    assert complaint in caught.value.message


EVENT_HUB = {"EventHub": "", "EventHub__fullyQualifiedNamespace": "hub.example"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"Storage__blobServiceUri": "https://a.example"}, "Storage and Storage__blobServiceUri contradict each other"),
        ({"HUB_TIER": "S3", "HUB_UNITS": "11"}, "S3 has at most 10 units, not 11"),
        ({"EVENTS_TOPIC_ENDPOINT": "https://reports.example/api/events"}, "give them a topic of their own"),
        ({"REPORTS_TOPIC_ENDPOINT": "http://127.0.0.1:80/a"}, "REPORTS_TOPIC_KEY is missing: without TLS"),
        ({"EVENTS_TOPIC_ENDPOINT": "https://reports.example/api/events/"}, "give them a topic of their own"),
        (
            {"EventHub__clientId": "a", "AZURE_CLIENT_ID": "a"} | EVENT_HUB,
            "EventHub__credential must be managedidentity",
        ),
        ({"TWIN_CHANGES_HUB": "  "}, "TWIN_CHANGES_HUB is missing"),
        ({"IotHub__clientId": "a", "AZURE_CLIENT_ID": "b"}, "IotHub__clientId and AZURE_CLIENT_ID contradict"),
        ({"AUTH_MODE": "entra", "ENTRA_AUDIENCE": "api"}, "ENTRA_TENANT_ID is missing: AUTH_MODE is entra"),
        ({"EventHub": "", "TWIN_CHANGES_HUB": ""}, "TWIN_CHANGES_HUB is missing"),
    ],
)
def test_what_contradicts_is_named(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(complete_environment() | settings)
    assert complaint in caught.value.message


def test_files_are_looked_into_where_the_app_lies(tmp_path: Path) -> None:
    (tmp_path / "root.json").write_text("{}")
    (tmp_path / "policy.toml").write_text("bins = 'many'")
    broken = {"TRUST_POLICY": "policy.toml", "KEYS_URI": "file:keys"}
    with pytest.raises(SettingsError) as caught:
        read_settings(complete_environment() | broken, app_folder=tmp_path)

    for complaint in (
        "ROOT_FILE names a file that cannot be used",
        "TRUST_POLICY names a file that cannot be used: trust.toml: bins",
        "KEYS_URI names a folder that is not there",
    ):
        assert complaint in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_a_file_that_is_not_there_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(SettingsError, match="ROOT_FILE names a file that cannot be read: No such file or directory"):
        read_settings(complete_environment() | {"TRUST_POLICY": str(PROJECT / "trust.toml")}, app_folder=tmp_path)


@pytest.mark.parametrize("name", [one.name for one in SETTINGS if one.used_by is not UsedBy.HOST])
def test_a_key_in_the_wrong_place_is_not_repeated(name: str) -> None:
    key = secrets.token_hex(32)
    try:
        read_settings(complete_environment() | {name: key})
    except SettingsError as error:
        assert key not in error.message


def test_sending_needs_the_bus_alone() -> None:
    connection, client_id = read_bus_connection(
        {
            "ServiceBus__fullyQualifiedNamespace": "bus.example",
            "ServiceBus__clientId": "trigger",
            "AZURE_CLIENT_ID": "x",
        }
    )
    assert (connection.host, client_id) == ("bus.example", "trigger")
    with pytest.raises(SettingsError, match="ServiceBus"):
        read_bus_connection({})
