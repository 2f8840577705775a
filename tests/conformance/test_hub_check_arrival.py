"""``groundswell hub check --events``: a made device reports, and what it said is seen arriving beside the relay."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager

from emulator.local import LocalCloud

PROJECT = Path(__file__).parents[2]
type Config = dict[str, Any]


@contextmanager
def cloud_with(folder: Path, change: Callable[[Config], object] = lambda _config: None) -> Iterator[LocalCloud]:
    """The project's own local cloud, its configuration changed."""
    where = PROJECT / "infra/local"
    config = json.loads((where / "cloud.json").read_text())
    change(config)
    (folder / "cloud.json").write_text(json.dumps(config))
    (folder / config["serviceBus"]).write_text((where / config["serviceBus"]).read_text())
    with LocalCloud(config=folder / "cloud.json", state_dir=folder / "state") as cloud:
        yield cloud


def check(cloud: LocalCloud, *arguments: str, **settings: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the findings, and what went to standard error."""
    told = cloud.settings | settings
    registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
    registry.create_device_with_sas("host-finder", "", "", "disabled")
    host = cloud.device_connection_string("host-finder").split("HostName=")[1].split(";")[0]
    registry.delete_device("host-finder")
    where = ["--hub", told["IotHub"], "--events", told["EventHub"], "--device-host", host]
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "hub", "check", "--json", *where, *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False,
        env={"PATH": os.environ["PATH"], "REQUESTS_CA_BUNDLE": cloud.settings["CA_FILE"]},
    )  # fmt: skip
    assert registry.get_devices() == []
    return ended.returncode, json.loads(ended.stdout or "{}").get("findings", {}), ended.stderr


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The IoT Hub SDK takes the authority behind the local hub's certificate from the environment only.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "state/hub/ca.pem"))


def test_a_reported_change_arrives_and_the_relay_does_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_with(tmp_path) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        status, found, errors = check(cloud)
        assert found["may_read_changes"]["answer"] == "yes", errors
        assert (status, found["changes_arrive"]["answer"]) == (0, "yes")
        took_s = re.fullmatch(r"after (\d+\.\d\d) s, its connecting included", found["changes_arrive"]["seen"])
        assert took_s
        assert 0 < float(took_s[1]) < 30
        hub = cloud.control.status()["eventHubs"]["twin-changes"]
        assert hub["count"] == hub["lag"] == 1, "the relay's pointer is where it was"

        status, found, _ = check(cloud)
        assert found["changes_arrive"]["answer"] == "yes", "what an earlier check left there is not taken for it"


def no_route(config: Config) -> None:
    config["iotHub"]["routes"] = []


def other_source(config: Config) -> None:
    config["iotHub"]["routes"][0]["source"] = "DeviceLifecycleEvents"


def other_condition(config: Config) -> None:
    config["iotHub"]["routes"][0]["condition"] = "IS_DEFINED($body.properties.reported.firmware)"


@pytest.mark.parametrize("change", [no_route, other_source, other_condition])
def test_a_change_that_does_not_arrive_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Config], None]
) -> None:
    with cloud_with(tmp_path, change) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        status, found, _ = check(cloud, "--wait", "2")
        assert (status, found["changes_arrive"]["answer"]) == (4, "no")
        seen = found["changes_arrive"]["seen"]
        assert "did not arrive within 2 s" in seen
        for words in ("is it there, enabled", "TwinChangeEvents", "condition", "Azure Event Hubs Data Sender"):
            assert words in seen


def test_an_identity_that_may_not_read_the_event_hub_is_told_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_with(tmp_path) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        key = cloud.settings["EventHub"].split("SharedAccessKey=")[1].split(";")[0]
        status, found, errors = check(cloud, EventHub=cloud.settings["EventHub"].replace(key, "b3RoZXI="))
        assert (status, found["may_read_changes"]["answer"]) == (4, "no")
        assert found["changes_arrive"]["answer"] == "unknown"
        assert key not in errors
        status, found, _ = check(cloud, "--event-hub", "nowhere")
        assert (status, found["changes_arrive"]["answer"]) == (0, "unknown")
        assert "is its name right?" in found["changes_arrive"]["seen"]
