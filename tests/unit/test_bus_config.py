"""The official emulator's configuration is read, and what the bus cannot do is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.bus import ConfigError, NamespaceConfig, QueueConfig
from emulator.bus.durations import read_duration_s

COMMITTED = Path(__file__).parents[2] / "infra" / "local" / "servicebus.json"


def document(*queues: dict[str, Any], **namespace: Any) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": list(queues), **namespace}]}}


def queue(name: str = "q", **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


def test_the_committed_configuration_is_read() -> None:
    config = NamespaceConfig.from_file(COMMITTED)

    steps = next(found for found in config.queues if found.name == "campaign-steps")
    assert steps.requires_session
    assert steps.requires_duplicate_detection
    assert (steps.lock_s, steps.duplicate_window_s, steps.default_ttl_s) == (60, 600, 14 * 86_400)


def test_what_is_left_out_has_the_services_default() -> None:
    (read,) = NamespaceConfig.from_dict(document({"Name": "q"})).queues

    assert read == QueueConfig(name="q", lock_s=60, max_delivery_count=10)


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT1M", 60), ("PT0.5S", 0.5), ("P14D", 1_209_600), ("P1DT2H3M4S", 93_784)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1M", "P1M", "P1Y", "PT-1S", "pt1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        read_duration_s(text)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (document(queue(LockDuration="PT10M")), "at most PT5M"),
        (document(queue(LockDuration="1 minute")), "ISO 8601"),
        (document(queue(LockDuration=60)), "an ISO 8601 duration"),
        (document(queue(MaxDeliveryCount=0)), "MaxDeliveryCount"),
        (document(queue(MaxDeliveryCount="10")), "of type int"),
        (document(queue(RequiresSession="yes")), "of type bool"),
        (document(queue(DefaultMessageTimeToLive="PT0S")), "above zero"),
        (document(queue(EnablePartitioning=True)), "EnablePartitioning is not supported"),
        (document(queue("a"), queue("A")), "unique without regard to case"),
        (document(queue(ForwardTo="nowhere")), "not declared"),
        (document(queue(ForwardTo="q")), "more than 4 queues"),
        (document(queue("a", ForwardTo="b"), queue("b", ForwardTo="a")), "more than 4 queues"),
        (document(queue(RequiresSession=True, ForwardTo="b"), queue("b")), "sessions cannot forward"),
        (document(queue("")), "needs a Name"),
        (document(queue(), Topics=[{"Name": "t"}]), "topics are not supported"),
        ({"UserConfig": {"Namespaces": []}}, "exactly one namespace"),
        ({}, "exactly one namespace"),
    ],
)
def test_what_the_bus_cannot_do_is_refused(bad: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        NamespaceConfig.from_dict(bad)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{")

    with pytest.raises(ConfigError, match=r"broken\.json"):
        NamespaceConfig.from_file(path)
