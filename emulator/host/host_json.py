"""The parts of host.json that this host honours, with Azure's default values."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("host")
_MODELLED = {
    "http": {"routePrefix"},
    "serviceBus": {
        "autoCompleteMessages",
        "maxAutoLockRenewalDuration",
        "maxConcurrentCalls",
        "maxConcurrentSessions",
        "maxMessageBatchSize",
        "sessionIdleTimeout",
    },
    "eventHubs": {"maxEventBatchSize"},
    "blobs": {"maxDegreeOfParallelism", "poisonBlobThreshold"},
}
_TIME_SPAN = re.compile(r"^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBusOptions:
    """Defaults from ServiceBusOptions.cs of the extension, version 5."""

    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    max_message_batch_size: int = 1000
    max_auto_lock_renewal_s: float = 300.0
    session_idle_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """host.json after reading. Times in seconds."""

    route_prefix: str = "api"
    function_timeout_s: float | None = 1800.0
    service_bus: ServiceBusOptions = ServiceBusOptions()
    event_hub_batch_size: int = 100
    blob_parallelism: int = 8
    poison_blob_threshold: int = 5


class UnsupportedOptionError(ValueError):
    """host.json asks for something that would change what happens to messages, and that this host cannot do."""


def parse_time_span(text: str) -> float:
    """Seconds in a .NET time span `[d.]hh:mm:ss[.fff]`.

    Raises:
        ValueError: not a time span.
    """
    match = _TIME_SPAN.match(text)
    if match is None:
        raise ValueError(f"not a time span: {text!r}")
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def read_host_json(path: Path) -> HostOptions:
    """Read host.json; a missing file means all defaults. What this host has no notion of is logged.

    Raises:
        UnsupportedOptionError: `autoCompleteMessages` is off: functions of this host cannot settle messages.
        ValueError: not JSON, or a time span that is none.
    """
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    extensions = content.get("extensions", {})
    for name in unmodelled_options(extensions):
        log.warning("host.json: %s makes no difference here", name)
    if extensions.get("serviceBus", {}).get("autoCompleteMessages", True) is not True:
        raise UnsupportedOptionError("host.json: the local host cannot do without serviceBus.autoCompleteMessages")
    defaults = HostOptions()
    blobs = extensions.get("blobs", {})
    return HostOptions(
        route_prefix=extensions.get("http", {}).get("routePrefix", defaults.route_prefix),
        function_timeout_s=_timeout_s(content.get("functionTimeout")),
        service_bus=_read_service_bus(extensions.get("serviceBus", {})),
        event_hub_batch_size=extensions.get("eventHubs", {}).get("maxEventBatchSize", 100),
        blob_parallelism=blobs.get("maxDegreeOfParallelism", defaults.blob_parallelism),
        poison_blob_threshold=blobs.get("poisonBlobThreshold", defaults.poison_blob_threshold),
    )


def unmodelled_options(extensions: Mapping[str, Any]) -> list[str]:
    """Options that Azure may heed and this host does not, as `section.option`."""
    return [
        f"{section}.{option}"
        for section, options in extensions.items()
        for option in options
        if option not in _MODELLED.get(section, set())
    ]


def _read_service_bus(section: Mapping[str, Any]) -> ServiceBusOptions:
    defaults = ServiceBusOptions()
    idle = section.get("sessionIdleTimeout")
    renewal = section.get("maxAutoLockRenewalDuration")
    return ServiceBusOptions(
        max_concurrent_calls=section.get("maxConcurrentCalls", defaults.max_concurrent_calls),
        max_concurrent_sessions=section.get("maxConcurrentSessions", defaults.max_concurrent_sessions),
        max_message_batch_size=section.get("maxMessageBatchSize", defaults.max_message_batch_size),
        max_auto_lock_renewal_s=parse_time_span(renewal) if renewal else defaults.max_auto_lock_renewal_s,
        session_idle_timeout_s=parse_time_span(idle) if idle else defaults.session_idle_timeout_s,
    )


def _timeout_s(text: str | None) -> float | None:
    if text is None:
        return HostOptions().function_timeout_s
    return None if text == "-1" else parse_time_span(text)
