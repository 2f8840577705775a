"""Twin documents: the offer in the desired property ``update``, the report in the reported property ``update``.

Twin keys may hold neither dots nor dollars nor spaces (IoT Hub developer guide, device twins), package names may hold
dots: the keys of ``installed`` are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.errors import InvalidId, MalformedMessage
from shared.domain.ids import DeviceId, PackagePath, campaign_id
from shared.domain.offers import Offer
from shared.domain.rollouts import MAX_DETAIL_LENGTH, REPORTABLE, OrderMark, Report, RolloutState

PROPERTY = "update"
DEVICE_PROPERTY = "device"
"""The reported property in which a device says what it is before any campaign has offered it anything."""

MAX_HARDWARE_LENGTH = 128
"""As long as a value in a package's compatibility may be, see ``shared.wire.descriptions``."""

MAX_SEQUENCE = 1_000_000_000
"""No device is claimed as often. A table's whole numbers end at twice as much, and devices may write what they like."""

_REPORT_KEYS = frozenset({"campaign", "wave", "attempt", "sequence", "state", "installed", "agent"})


def write_offer(offer: Offer) -> dict[str, Any]:
    """The value of ``properties.desired.update``."""
    return {
        "campaign": offer.campaign,
        "wave": offer.wave,
        "attempt": offer.attempt,
        "sequence": offer.sequence,
        "path": offer.path,
        "intent": offer.envelope,
        "proof": offer.proof,
        "ticket": offer.ticket,
    }


def read_offer(device: DeviceId, desired: Mapping[str, Any]) -> Offer | None:
    """The offer in a desired-properties document or patch; None where it holds none or withdraws it.

    Raises:
        MalformedMessage: There is one, and it cannot be read.
    """
    document = desired.get(PROPERTY)
    if document is None:
        return None
    try:
        return Offer(
            device=device,
            campaign=campaign_id(document["campaign"]),
            wave=_whole(document["wave"]),
            attempt=_whole(document["attempt"]),
            sequence=_whole(document["sequence"]),
            path=PackagePath(_text(document["path"])),
            envelope=_text(document["intent"]),
            proof=_text(document["proof"]),
            ticket=_text(document["ticket"]),
        )
    except (InvalidId, KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(f"the offer in the twin cannot be read: {error!r:.100}") from error


def write_report(report: Report) -> dict[str, Any]:
    """The value of ``properties.reported.update``, always whole."""
    return {
        "campaign": report.campaign,
        "wave": report.wave,
        "attempt": report.attempt,
        "sequence": report.sequence,
        "state": report.state.value,
        "code": report.code,
        "detail": report.detail[:MAX_DETAIL_LENGTH],
        "progress": report.progress_percent,
        "installed": {escape_key(name): version for name, version in report.installed.items()},
        "agent": report.agent_version,
        **({"hardware": report.hardware} if report.hardware else {}),
    }


def is_whole_report(document: object) -> bool:
    """Whether a reported ``update`` carries every key a report needs; a merged event may not, and wants a twin read."""
    return isinstance(document, Mapping) and document.keys() >= _REPORT_KEYS


def read_report(device: DeviceId, document: Mapping[str, Any], mark: OrderMark) -> Report:
    """The report in a whole reported ``update``.

    Raises:
        MalformedMessage: A key is missing, of the wrong type, or names a state no device may claim.
    """
    try:
        state = RolloutState(document["state"])
        if state not in REPORTABLE:
            raise ValueError(f"a device cannot claim {state.value!r}")
        return Report(
            device=device,
            campaign=campaign_id(document["campaign"]),
            wave=_whole(document["wave"]),
            attempt=_whole(document["attempt"]),
            sequence=_whole(document["sequence"]),
            state=state,
            code=_text(document.get("code") or "")[:MAX_DETAIL_LENGTH],
            detail=_text(document.get("detail") or "")[:MAX_DETAIL_LENGTH],
            progress_percent=max(0, min(100, _whole(document.get("progress") or 0))),
            installed={unescape_key(key): _text(version) for key, version in document["installed"].items()},
            agent_version=_text(document["agent"]),
            hardware=_text(document.get("hardware") or "")[:MAX_HARDWARE_LENGTH],
            mark=mark,
        )
    except (InvalidId, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedMessage(f"the report of {device} cannot be read: {error!r:.100}") from error


def read_sequence(section: Mapping[str, Any] | None) -> int:
    """The sequence in a section of a twin, offered or reported; 0 where it says none that can be ours."""
    try:
        sequence = _whole((section or {})[PROPERTY]["sequence"])
    except (KeyError, TypeError, ValueError):
        return 0
    return sequence if 0 <= sequence <= MAX_SEQUENCE else 0


def read_installed(reported: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Package name to the version the device says it runs; empty where its twin says nothing that can be read."""
    try:
        installed = (reported or {})[PROPERTY]["installed"]
        return {unescape_key(key): str(version) for key, version in installed.items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def read_hardware(reported: Mapping[str, Any] | None) -> str:
    """What the device says it is; empty where its twin says nothing that can be read.

    What it says whenever it connects goes before its last report, which may be from another board.
    """
    for section in (DEVICE_PROPERTY, PROPERTY):
        document = (reported or {}).get(section)
        hardware = document.get("hardware") if isinstance(document, Mapping) else None
        if isinstance(hardware, str) and hardware:
            return hardware[:MAX_HARDWARE_LENGTH]
    return ""


def write_device_section(hardware: str) -> dict[str, Any]:
    """The value of ``properties.reported.device``."""
    return {"hardware": hardware[:MAX_HARDWARE_LENGTH]}


def read_mark(reported: Mapping[str, Any]) -> OrderMark:
    """The order mark of a reported section, from ``$metadata.update.$lastUpdated`` and ``$version``.

    Raises:
        MalformedMessage: The section lacks its metadata.
    """
    try:
        metadata = reported["$metadata"]
        updated = metadata.get(PROPERTY, metadata)["$lastUpdated"]
        return OrderMark(last_updated=read_time(updated), version=_whole(reported["$version"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedMessage("the reported section lacks $metadata or $version") from error


def read_time(text: str) -> datetime:
    """An IoT Hub time (up to seven decimals, ``Z``) as aware UTC, cut to microseconds."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} carries no time zone")
    return moment


def escape_key(name: str) -> str:
    """A package name as a twin key."""
    return name.replace("%", "%25").replace(".", "%2E").replace("$", "%24").replace(" ", "%20")


def unescape_key(key: str) -> str:
    """The package name behind a twin key."""
    return re.sub(r"%(25|2E|24|20)", lambda match: chr(int(match[1], 16)), key)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number expected, not {type(value).__name__}")
    return value
