"""Settings in bindings, host.json, retry policies and binding data."""

import json
import random
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from emulator.host.app_settings import (
    SettingMissingError,
    connection_fields,
    connection_string,
    read_connection_string,
    resolve_settings,
)
from emulator.host.blob_messages import BlobMessage, BlobPath, queue_of
from emulator.host.host_json import UnsupportedOptionError, parse_time_span, read_host_json
from emulator.host.keys import AuthLevel, load_or_make_keys
from emulator.host.retry import RetryPolicy, RetryStrategy


def test_settings_in_percent_signs_are_resolved_everywhere_in_a_binding() -> None:
    settings = {"QUEUE": "q1", "PART": "x"}
    binding = {"queueName": "%QUEUE%", "path": "a/%PART%/{name}", "methods": ["%PART%"], "n": 1, "s": "50 %"}
    assert resolve_settings(binding, settings) == {
        "queueName": "q1",
        "path": "a/x/{name}",
        "methods": ["x"],
        "n": 1,
        "s": "50 %",
    }
    with pytest.raises(SettingMissingError, match="NOPE"):
        resolve_settings("%NOPE%", settings)


def test_a_connection_is_a_setting_or_a_prefix() -> None:
    settings = {"A": "Endpoint=x", "B__fullyQualifiedNamespace": "ns", "B__clientId": "id"}
    assert connection_fields("A", settings) == {"connectionString": "Endpoint=x"}
    assert connection_fields("B", settings) == {"fullyQualifiedNamespace": "ns", "clientId": "id"}
    with pytest.raises(SettingMissingError, match="C__"):
        connection_fields("C", settings)


def test_a_connection_for_an_identity_is_refused_by_its_name() -> None:
    assert connection_string("A", {"A": "Endpoint=x"}) == {"connectionString": "Endpoint=x"}
    with pytest.raises(SettingMissingError, match="set Storage to a connection string"):
        connection_string("Storage", {"Storage__accountName": "x"})


def test_a_connection_strings_values_may_hold_equals_signs() -> None:
    assert read_connection_string("Endpoint=sb://x/;Key=ab==;") == {"Endpoint": "sb://x/", "Key": "ab=="}


def test_host_json_is_read_and_missing_parts_have_azures_defaults(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    defaults = read_host_json(path)
    assert (defaults.route_prefix, defaults.service_bus.max_concurrent_calls) == ("api", 16)
    assert (defaults.poison_blob_threshold, defaults.function_timeout_s) == (5, 1800)
    service_bus = {"maxConcurrentCalls": 2, "sessionIdleTimeout": "00:00:05"}
    content = {"functionTimeout": "-1", "extensions": {"http": {"routePrefix": ""}, "serviceBus": service_bus}}
    path.write_text(json.dumps(content))
    options = read_host_json(path)
    assert (options.route_prefix, options.function_timeout_s) == ("", None)
    assert (options.service_bus.max_concurrent_calls, options.service_bus.session_idle_timeout_s) == (2, 5.0)


def test_options_of_host_json_that_mean_nothing_here_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "host.json"
    event_hubs = {"maxEventBatchSize": 5, "prefetchCount": 9, "maxWaitTime": "00:00:01"}
    path.write_text(json.dumps({"extensions": {"eventHubs": event_hubs}}))
    assert read_host_json(path).event_hub_batch_size == 5
    named = [record.getMessage().split()[1] for record in caplog.records]
    assert named == ["eventHubs.prefetchCount", "eventHubs.maxWaitTime"]


def test_messages_that_the_function_would_settle_itself_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text(json.dumps({"extensions": {"serviceBus": {"autoCompleteMessages": False}}}))
    with pytest.raises(UnsupportedOptionError, match="autoCompleteMessages"):
        read_host_json(path)


def test_time_spans_are_those_of_dot_net() -> None:
    assert [parse_time_span(text) for text in ("00:00:01.5", "01:02:03", "2.00:00:00")] == [1.5, 3723, 172800]
    with pytest.raises(ValueError, match="time span"):
        parse_time_span("5m")


def policy(strategy: RetryStrategy, count: int) -> RetryPolicy:
    return RetryPolicy(
        strategy=strategy, max_retry_count=count, shortest=timedelta(seconds=1), longest=timedelta(seconds=5)
    )


def test_fixed_delays_stay_and_exponential_ones_double_up_to_the_longest() -> None:
    fixed = policy(RetryStrategy.FIXED_DELAY, 2).delays_s(random.Random(1))
    assert list(islice(fixed, 3)) == [1, 1, 1]
    delays = list(islice(policy(RetryStrategy.EXPONENTIAL_BACKOFF, 2).delays_s(random.Random(1)), 6))
    for delay_s, wanted_s in zip(delays, (1, 2, 4, 5, 5, 5), strict=True):
        assert wanted_s * 0.8 <= delay_s <= min(wanted_s * 1.2, 5)


def test_minus_one_retries_for_ever() -> None:
    assert policy(RetryStrategy.FIXED_DELAY, -1).allows(10**9)
    assert [policy(RetryStrategy.FIXED_DELAY, 2).allows(retry) for retry in (1, 2, 3)] == [True, True, False]


def test_blob_paths_match_names_with_slashes() -> None:
    assert BlobPath("incoming/{name}").match("incoming", "a/b.bin") == {"name": "a/b.bin"}
    assert BlobPath("incoming/{name}.{kind}").match("incoming", "x.tar.gz") == {"name": "x", "kind": "tar.gz"}
    assert BlobPath("incoming/in-{name}").match("incoming", "out-x") is None
    assert BlobPath("incoming/{name}").match("other", "x") is None


def test_blob_messages_have_the_documented_form() -> None:
    message = BlobMessage(function_name="on_x", container="incoming", blob="a/ü", etag="0x1")
    fields = json.loads(message.to_json())
    assert fields["FunctionId"] == "Host.Functions.on_x"
    assert {"BlobType", "ContainerName", "BlobName", "ETag"} <= fields.keys()
    assert BlobMessage.from_json(message.to_json()) == message
    assert queue_of("on_Artifact_Uploaded") == "azure-webjobs-blobtrigger-on-artifact-uploaded"


def test_keys_are_made_once_and_open_their_level_only(tmp_path: Path) -> None:
    keys = load_or_make_keys(tmp_path / "keys.json")
    assert load_or_make_keys(tmp_path / "keys.json") == keys
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    assert keys.admits(AuthLevel.ANONYMOUS, None)
    assert keys.admits(AuthLevel.FUNCTION, keys.host)
    assert keys.admits(AuthLevel.FUNCTION, keys.master)
    assert not keys.admits(AuthLevel.FUNCTION, keys.event_grid)
    assert not keys.admits(AuthLevel.FUNCTION, None)
    assert not keys.admits(AuthLevel.ADMIN, keys.host)
