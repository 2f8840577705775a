"""What can be held of running under Core Tools without containers: files that fit each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.core_tools import CONFIG, FROM_THE_PLATFORM, OFFICIAL, SAMPLE, write_settings
from emulator.bus import NamespaceConfig
from emulator.bus.durations import read_duration_s
from emulator.cloud_config import read_cloud_config
from shared.ports.bus import Queue
from tests.support.bicep import INFRA, ROOT
from tests.support.functions import read_triggers

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
PAGE = (ROOT / "docs/core-tools.md").read_text()
BOUNDED = {"DefaultMessageTimeToLive": "PT1H", "DuplicateDetectionHistoryTimeWindow": "PT5M"}
"""What the official emulator takes at most (its Config-schema.json); MaxDeliveryCount up to 10, locks up to PT5M."""


def queues(path: str) -> dict[str, dict[str, Any]]:
    [namespace] = json.loads((INFRA / path).read_text())["UserConfig"]["Namespaces"]
    assert namespace["Name"] == "sbemulatorns"
    return {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}


def published() -> dict[tuple[str, str], str]:
    """Loopback address and port of this machine to the service and port behind it."""
    found = {}
    for name, service in SERVICES.items():
        for line in service.get("ports", ()):
            address, here, there = line.split(":")
            found[address, here] = f"{name}:{there}"
    return found


def test_every_image_has_a_version() -> None:
    tags = [service["image"].rpartition(":")[2] for service in SERVICES.values()]
    assert [tag for tag in tags if not re.search(r"\d+(\.\d+\.\d+|-CU\d+-)", tag)] == []


def test_nothing_is_reachable_from_outside_and_no_secret_is_in_the_file() -> None:
    assert {address for address, _ in published()} == {"127.0.0.1", "127.0.0.2"}
    values = [str(value) for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert not [value for value in values if re.search(r"(?i)password|key", value) and not value.startswith("${")]


def test_what_is_mounted_is_there_and_read_only() -> None:
    mounts = [line.split(":") for service in SERVICES.values() for line in service.get("volumes", ())]
    assert [mode for *_, mode in mounts] == ["ro", "ro"]
    assert all((ROOT / source).is_file() for source, *_ in mounts)
    assert {target for _, target, _ in mounts} == {
        "/ServiceBus_Emulator/ConfigFiles/Config.json",
        "/Eventhubs_Emulator/ConfigFiles/Config.json",
    }


def test_the_connection_strings_lead_to_the_published_ports() -> None:
    ports = published()
    for kind, port in (("Blob", "10000"), ("Queue", "10001"), ("Table", "10002")):
        assert f"{kind}Endpoint=http://127.0.0.1:{port}/" in OFFICIAL["Storage"]
        assert ports["127.0.0.1", port] == f"azurite:{port}"
    assert ports[OFFICIAL["ServiceBus"].split("sb://")[1].split(";")[0], "5672"] == "servicebus:5672"
    assert ports[OFFICIAL["EventHub"].split("sb://")[1].split(";")[0], "5672"] == "eventhubs:5672"
    for name in ("ServiceBus", "EventHub"):
        # The SDKs switch TLS off for exactly this value.
        assert "UseDevelopmentEmulator=true;" in OFFICIAL[name]
        assert f"`{OFFICIAL[name]}`" in PAGE


def test_the_official_emulator_has_the_same_queues_as_far_as_it_can() -> None:
    ours, theirs = queues("local/servicebus.json"), queues("core-tools/servicebus.json")
    assert theirs.keys() == ours.keys() == {queue.value for queue in Queue}
    for name, properties in ours.items():
        assert theirs[name] == properties | BOUNDED
        assert read_duration_s(theirs[name]["LockDuration"]) <= 300
        assert theirs[name]["MaxDeliveryCount"] <= 10
    assert NamespaceConfig.from_file(INFRA / "core-tools/servicebus.json").queues
    assert all(f"`{bound}`" in PAGE for bound in BOUNDED.values())


def test_the_event_hubs_emulator_has_the_hub_that_the_trigger_reads() -> None:
    config = json.loads((INFRA / "core-tools/eventhubs.json").read_text())["UserConfig"]
    [namespace] = config["NamespaceConfig"]
    assert (namespace["Type"], namespace["Name"]) == ("EventHub", "emulatorNs1")
    local = json.loads((INFRA / "local/cloud.json").read_text())
    assert [(one["Name"], int(one["PartitionCount"])) for one in namespace["Entities"]] == [
        (one["name"], one["partitions"]) for one in local["eventHubs"]
    ]


def test_our_parts_are_those_of_the_local_cloud_and_deliver_to_core_tools() -> None:
    ours, local = json.loads(CONFIG.read_text()), json.loads((INFRA / "local/cloud.json").read_text())
    assert (ours["iotHub"], ours["eventHubs"]) == (local["iotHub"], local["eventHubs"])
    assert ours["eventGrid"]["topics"] == local["eventGrid"]["topics"]
    found = {one.name: (one.topic, one.endpoint) for one in read_cloud_config(CONFIG).subscriptions}
    webhook = "http://127.0.0.1:7071/runtime/webhooks/EventGrid?functionName="
    assert found == {
        one["name"]: (one["topic"], f"{webhook}{one['function']}") for one in local["eventGrid"]["subscriptions"]
    }
    functions = {name for name, one in read_triggers().items() if one["type"] == "eventGridTrigger"}
    assert {endpoint.removeprefix(webhook) for _, endpoint in found.values()} == functions


def test_settings_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    write_settings(path, {"Storage": "mine"}, mode="x")
    with pytest.raises(FileExistsError):
        write_settings(path, {"Storage": "yours"}, mode="x")
    assert json.loads(path.read_text())["Values"] == {"Storage": "mine"}
    write_settings(path, {"Storage": "yours"}, mode="w")
    assert json.loads(path.read_text())["Values"] == {"Storage": "yours"}
    assert path.stat().st_mode & 0o077 == 0


def test_the_page_says_what_was_not_run() -> None:
    assert "**Not run here.**" in PAGE
    assert "Not run where this was written" in (ROOT / "compose.yaml").read_text()
    assert set(FROM_THE_PLATFORM).isdisjoint(json.loads(SAMPLE.read_text())["Values"])
