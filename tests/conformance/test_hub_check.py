"""``groundswell hub check``, as a process, against hubs that differ in what documents leave open."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.hub import BulkTwins, HubConfig
from tests.support.hub import LocalHub, local_hub
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[2]
ALL_FOUND = {"may_make_devices", "may_read_twins", "may_query", "may_patch", "may_bulk"} | {
    "patch_merges", "patch_deletes_null", "bulk_merges", "bulk_deletes_null", "bulk_takes_etag_star",
    "bulk_keeps_identity", "bulk_blames_one",
}  # fmt: skip
ONLY_WITH_EVENTS = {"may_read_changes", "changes_arrive"}


@contextmanager
def hub_with(tmp_path: Path, **config: Any) -> Iterator[LocalHub]:
    with local_hub(tmp_path / "hub", HubConfig(**config)) as hub:
        yield hub


def command(hub: LocalHub, *arguments: str, policy: str = "iothubowner") -> list[str]:
    return [sys.executable, "-m", "cli", "hub", "check", "--hub", hub.server.connection_string(policy), *arguments]


def check(hub: LocalHub, *arguments: str, policy: str = "iothubowner") -> tuple[int, dict[str, Any], str]:
    """Exit status, the document, and what went to standard error."""
    ended = subprocess.run(
        command(hub, "--json", *arguments, policy=policy),
        cwd=PROJECT, capture_output=True, text=True, timeout=60, env=environment(hub), check=False,
    )  # fmt: skip
    return ended.returncode, json.loads(ended.stdout or "{}"), ended.stderr


def environment(hub: LocalHub) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "REQUESTS_CA_BUNDLE": str(hub.server.ca_path)}


def answers(document: dict[str, Any], wanted: str) -> set[str]:
    """The questions with this answer."""
    return {question for question, found in document["findings"].items() if found["answer"] == wanted}


def devices(hub: LocalHub) -> list[str]:
    return [device.device_id for device in hub.service().get_devices()]


def test_hub_that_merges_may_be_written_in_bulk(tmp_path: Path) -> None:
    with hub_with(tmp_path) as hub:
        status, document, _ = check(hub)
        assert answers(document, "yes") == ALL_FOUND
        assert (status, document["safe"], document["fit"]) == (0, {"TWIN_WRITER": ["patch", "bulk"]}, True)
        assert document["throttling"] == {}
        assert devices(hub) == []


@pytest.mark.parametrize(
    ("bulk_twins", "broken"),
    [(BulkTwins.REPLACE, {"bulk_merges", "bulk_deletes_null"}), (BulkTwins.KEEP_NULLS, {"bulk_deletes_null"})],
)
def test_hub_whose_bulk_calls_do_not_merge_is_found_out(tmp_path: Path, bulk_twins: str, broken: set[str]) -> None:
    with hub_with(tmp_path, bulk_twins=bulk_twins) as hub:
        status, document, _ = check(hub)
        assert answers(document, "no") == broken
        assert (status, document["safe"], document["fit"]) == (3, {"TWIN_WRITER": ["patch"]}, True)
        assert devices(hub) == []


def test_identity_that_may_not_make_devices_is_told_what_it_lacks(tmp_path: Path) -> None:
    with hub_with(tmp_path) as hub:
        status, document, _ = check(hub, policy="service")
        assert status == 4
        assert document["findings"]["may_make_devices"] == {"answer": "no", "seen": "401 IotHubUnauthorizedAccess"}
        assert "IoT Hub Registry Contributor" in document["missing"]["may_make_devices"]
        assert answers(document, "unknown") == (ALL_FOUND | ONLY_WITH_EVENTS) - {"may_make_devices"}


def test_a_spare_device_shows_an_identity_without_the_registry_which_writer_it_may_be(tmp_path: Path) -> None:
    with hub_with(tmp_path) as hub:
        hub.create("spare")
        status, document, _ = check(hub, "--device", "spare", policy="service")
        assert status == 3
        assert answers(document, "no") == {"may_bulk"}
        assert "RegistryWrite" in document["missing"]["may_bulk"]
        assert document["safe"] == {"TWIN_WRITER": ["patch"]}
        twin = hub.service().get_twin("spare")
        assert [key for key in twin.properties.desired if not key.startswith("$")] == []
        assert devices(hub) == ["spare"]


def test_identity_that_may_do_nothing_with_twins_is_not_fit(tmp_path: Path) -> None:
    with hub_with(tmp_path) as hub:
        status, document, _ = check(hub, policy="registryReadWrite")
        assert status == 4
        assert answers(document, "no") == {"may_read_twins", "may_query", "may_patch"}
        assert answers(document, "yes") == {"may_make_devices", "may_bulk"}
        assert document["safe"] == {"TWIN_WRITER": []}
        assert devices(hub) == []


@pytest.mark.parametrize("retry_after_s", [None, 7])
def test_throttling_is_shown_as_it_looks_when_it_is_asked_for(tmp_path: Path, retry_after_s: int | None) -> None:
    with hub_with(tmp_path, throttles="on", burst_s=1.0, retry_after_s=retry_after_s) as hub:
        status, document, _ = check(hub, "--provoke-throttling")
        assert status == 0
        assert set(document["throttling"]) == {"patch", "bulk"}
        for seen in document["throttling"].values():
            assert (seen["status"], seen["code"]) == (429, "ThrottlingException")
            assert seen["message"].endswith("Operation type: TwinUpdate")
            assert seen["retry_after"] == (None if retry_after_s is None else "7")
            assert 0 < seen["writes"] <= 50 * (2 + seen["seconds"])
        assert devices(hub) == []


def test_hub_without_quota_ends_the_check_with_the_reason(tmp_path: Path) -> None:
    with hub_with(tmp_path, daily_messages=2) as hub:
        status, document, errors = check(hub)
        assert (status, document) == (1, {})
        assert "403 IotHubQuotaExceeded" in errors
        assert devices(hub) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_ended_deletes_its_device_all_the_same(tmp_path: Path, number: signal.Signals) -> None:
    with hub_with(tmp_path, tier="S3", units=10) as hub:
        process = subprocess.Popen(
            command(hub, "--provoke-throttling"), cwd=PROJECT, stderr=subprocess.PIPE, text=True, env=environment(hub)
        )
        try:
            # Nothing throttles here, so it goes on writing until it is told to end.
            wait_until(lambda: hub.server.throttle.admitted["TwinUpdate"] > 60, timeout_s=30, what="writes to go on")
            assert len(devices(hub)) == 1
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 1
        assert "ended before all was asked" in errors
        assert devices(hub) == []


def test_people_read_what_to_set(tmp_path: Path) -> None:
    with hub_with(tmp_path, bulk_twins=BulkTwins.REPLACE) as hub:
        ended = subprocess.run(
            command(hub), cwd=PROJECT, capture_output=True, text=True, timeout=60, env=environment(hub), check=False
        )
        assert ended.returncode == 3
        assert "no       a bulk entry keeps what it does not name" in ended.stdout
        assert ended.stdout.endswith("TWIN_WRITER must be patch.\n")
        key = hub.server.hub.policies.keys["iothubowner"]
        assert key not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--hub", "nonsense=1"], "no connection string and no host name"),
        (["--hub", ""], "say which hub"),
        (["--hub", "HostName=127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=YQ==", "--device", "a b"], "a b"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments: list[str], complaint: str) -> None:
    where = [sys.executable, "-m", "cli", "hub", "check", *arguments]
    env = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(where, cwd=PROJECT, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


def test_hub_that_is_not_there_is_said(tmp_path: Path) -> None:
    with hub_with(tmp_path) as hub:
        where, env = command(hub, "--json"), environment(hub)
    ended = subprocess.run(where, cwd=PROJECT, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert ended.returncode == 1
    assert "the hub does not answer" in ended.stderr
