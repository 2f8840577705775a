"""Queues declared in the JSON of the official Service Bus emulator's `Config.json`.

Field names, defaults and bounds: Microsoft Learn, "Service Bus emulator" and "Service Bus quotas".
Lower bounds on durations are not enforced, so that tests can use short ones.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.bus.durations import read_duration_s

MAX_LOCK_S = 300.0
MAX_FORWARD_HOPS = 4
STANDARD_MAX_MESSAGE_BYTES = 256 * 1024
_UNLIMITED_S = 10_675_199 * 86_400.0  # the longest .NET TimeSpan: what Azure calls "never"


class ConfigError(ValueError):
    """The configuration asks for something the bus cannot do; the text lists everything wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """One queue. Durations in seconds; `forward_to` and `forward_dead_letters_to` are queue names or empty."""

    name: str
    lock_s: float = 60.0
    max_delivery_count: int = 10
    requires_session: bool = False
    requires_duplicate_detection: bool = False
    duplicate_window_s: float = 600.0
    default_ttl_s: float = _UNLIMITED_S
    dead_letter_on_expiry: bool = False
    forward_to: str = ""
    forward_dead_letters_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceConfig:
    """The queues of one namespace; names are unique without regard to case."""

    name: str = "sbemulatorns"
    queues: tuple[QueueConfig, ...] = field(default=())

    @classmethod
    def from_file(cls, path: Path) -> "NamespaceConfig":
        """Reads a `Config.json`.

        Raises:
            ConfigError: what `from_dict` refuses, or not JSON.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "NamespaceConfig":
        """Reads a parsed `Config.json`.

        Raises:
            ConfigError: unknown fields, topics, more than one namespace, values out of bounds, forwarding that
                leads nowhere, in a circle or out of a queue with sessions.
        """
        try:
            namespaces = document["UserConfig"]["Namespaces"]
            (namespace,) = namespaces
            listed = namespace.get("Queues", ())
            name = namespace["Name"]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("UserConfig.Namespaces must list exactly one namespace with a Name") from error
        if namespace.get("Topics"):
            raise ConfigError("topics are not supported, only queues")
        queues = tuple(_read_queue(entry) for entry in listed)
        _refuse(_faults(queues))
        return cls(name=name, queues=queues)


_READERS: dict[str, tuple[str, type]] = {
    "LockDuration": ("lock_s", float),
    "MaxDeliveryCount": ("max_delivery_count", int),
    "RequiresSession": ("requires_session", bool),
    "RequiresDuplicateDetection": ("requires_duplicate_detection", bool),
    "DuplicateDetectionHistoryTimeWindow": ("duplicate_window_s", float),
    "DefaultMessageTimeToLive": ("default_ttl_s", float),
    "DeadLetteringOnMessageExpiration": ("dead_letter_on_expiry", bool),
    "ForwardTo": ("forward_to", str),
    "ForwardDeadLetteredMessagesTo": ("forward_dead_letters_to", str),
}


def _read_queue(entry: Mapping[str, Any]) -> QueueConfig:
    name = entry.get("Name")
    if not isinstance(name, str) or not name or name.startswith("$"):
        raise ConfigError(f"a queue needs a Name, this one has {name!r}")
    properties = entry.get("Properties") or {}
    unknown = sorted(set(properties) - set(_READERS)) + sorted(set(entry) - {"Name", "Properties"})
    _refuse(f"{name}: {key} is not supported" for key in unknown)
    values = {_READERS[key][0]: _read_value(name, key, value) for key, value in properties.items()}
    return QueueConfig(name=name, **values)


def _read_value(queue: str, key: str, value: object) -> Any:
    kind = _READERS[key][1]
    if kind is float and isinstance(value, str):
        try:
            return read_duration_s(value)
        except ValueError as error:
            raise ConfigError(f"{queue}: {key}: {error}") from error
    if type(value) is not kind:
        wanted = "an ISO 8601 duration" if kind is float else f"of type {kind.__name__}"
        raise ConfigError(f"{queue}: {key} must be {wanted}, not {value!r}")
    return value


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise ConfigError("; ".join(found))


def _faults(queues: tuple[QueueConfig, ...]) -> Iterable[str]:
    by_name = {queue.name.lower(): queue for queue in queues}
    if len(by_name) != len(queues):
        yield "queue names must be unique without regard to case"
    for queue in queues:
        if not 0 < queue.lock_s <= MAX_LOCK_S:
            yield f"{queue.name}: LockDuration must be above zero and at most PT5M"
        if not 1 <= queue.max_delivery_count <= 2000:
            yield f"{queue.name}: MaxDeliveryCount must be between 1 and 2000"
        if queue.default_ttl_s <= 0 or queue.duplicate_window_s <= 0:
            yield f"{queue.name}: durations must be above zero"
        yield from _forward_faults(queue, by_name)


def _forward_faults(queue: QueueConfig, by_name: Mapping[str, QueueConfig]) -> Iterable[str]:
    for key, target in (
        ("ForwardTo", queue.forward_to),
        ("ForwardDeadLetteredMessagesTo", queue.forward_dead_letters_to),
    ):
        if target and target.lower() not in by_name:
            yield f"{queue.name}: {key} names {target!r}, which is not declared"
    if queue.forward_to and queue.requires_session:
        yield f"{queue.name}: a queue with sessions cannot forward"
    hops, current = 0, queue
    while current.forward_to and current.forward_to.lower() in by_name:
        hops, current = hops + 1, by_name[current.forward_to.lower()]
        if hops > MAX_FORWARD_HOPS:
            yield f"{queue.name}: ForwardTo leads over more than {MAX_FORWARD_HOPS} queues"
            return
