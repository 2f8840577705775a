"""A local cloud for the sample app, and what the app's journal says it saw."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.local import LocalCloud
from tests.support.waiting import wait_until

SAMPLE_APP = Path(__file__).parents[1] / "assets" / "sample_app"
type Entry = dict[str, Any]


class Journal:
    """What the sample app's functions wrote down.

    Args:
        path: the file that setting JOURNAL names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, function: str, wanted: Callable[[Entry], bool] = lambda _: True) -> list[Entry]:
        """Entries of one function, in the order they were written."""
        if not self.path.exists():
            return []
        lines = (json.loads(line) for line in self.path.read_text().splitlines())
        return [entry for entry in lines if entry["function"] == function and wanted(entry)]

    def wait_for(
        self,
        function: str,
        wanted: Callable[[Entry], bool] = lambda _: True,
        *,
        count: int = 1,
        timeout_s: float = 20,
    ) -> list[Entry]:
        """Entries of one function, as soon as there are `count` of them."""

        def enough() -> list[Entry]:
            found = self.entries(function, wanted)
            return found if len(found) >= count else []

        return wait_until(enough, timeout_s=timeout_s, what=f"{count} x {function} in the journal")


def write_config(folder: Path) -> Path:
    """Configuration of a cloud that has what the sample app binds to; fast locks, retries and dead letters."""
    queues = [
        _queue("singles"),
        _queue("batches"),
        _queue("sessions", RequiresSession=True),
        _queue("session-batches", RequiresSession=True),
    ]
    bus = {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": []}]}}
    (folder / "servicebus.json").write_text(json.dumps(bus))
    path = folder / "cloud.json"
    path.write_text(json.dumps(_cloud()))
    return path


def _queue(name: str, **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": {"LockDuration": "PT3S", "MaxDeliveryCount": 5, **properties}}


def _cloud() -> dict[str, Any]:
    return {
        "storage": {
            "containers": ["incoming", "streams", "dead-events"],
            "tables": ["things"],
            "blobTriggerContainers": ["incoming", "streams"],
            "blobTriggerVisibilitySeconds": 2,
        },
        "serviceBus": "servicebus.json",
        "iotHub": {
            "name": "local-hub",
            "routes": [_route("plain"), _route("retried")],
            "systemTopic": "lifecycle",
        },
        "eventHubs": [{"name": "plain", "partitions": 2}, {"name": "retried", "partitions": 2}],
        "eventGrid": {
            "retryScale": 0.03,
            "topics": ["cloud-events", "grid-events", "lifecycle"],
            "subscriptions": [
                _subscription("to-cloud-events", "cloud-events", "on_cloud_event", attempts=4),
                _subscription("to-grid-events", "grid-events", "on_grid_event", attempts=4),
                _subscription("to-lifecycle", "lifecycle", "on_grid_event", attempts=4),
                _subscription("to-nowhere", "grid-events", "no_such_function", attempts=2)
                | {"includedEventTypes": ["sample.lost"]},
            ],
        },
    }


def _route(name: str) -> dict[str, str]:
    commands = ("number", "fail", "sleep_s", "mark")
    condition = " OR ".join(f"IS_DEFINED($body.properties.desired.{name}.{command})" for command in commands)
    return {"name": name, "source": "TwinChangeEvents", "eventHub": name, "condition": condition}


def _subscription(name: str, topic: str, function: str, *, attempts: int) -> dict[str, Any]:
    retry = {"maxDeliveryAttempts": attempts, "eventTimeToLiveMinutes": 60}
    found = {"name": name, "topic": topic, "function": function, "retry": retry}
    return found | {"deadLetterContainer": "dead-events"}


def sample_settings(journal: Journal) -> dict[str, str]:
    """App settings of the sample app."""
    return {
        "JOURNAL": str(journal.path),
        "SINGLE_QUEUE": "singles",
        "TIMER_SCHEDULE": "0 0 0 1 1 *",
        "AzureWebJobs.on_disabled.Disabled": "true",
    }


@contextmanager
def sample_cloud(folder: Path) -> Iterator[tuple[LocalCloud, Journal]]:
    """A local cloud with the sample app running on it."""
    journal = Journal(folder / "journal.jsonl")
    with LocalCloud(config=write_config(folder), state_dir=folder / "state") as cloud:
        cloud.start_functions(SAMPLE_APP, sample_settings(journal))
        yield cloud, journal
