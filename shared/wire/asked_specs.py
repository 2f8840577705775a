"""A campaign's specification in the fields of the request that means it, so that two can be held against each other.

Whatever is not named here goes by the name that it has in the specification; a test holds each to a field of requests.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from shared.domain.campaign_specs import CampaignSpec
from shared.wire.http_policies import WEEKDAYS

_SPEC: TypeAdapter[CampaignSpec] = TypeAdapter(CampaignSpec)
_SIZES = {"devices": "count", "percent": "percent", "condition": "filter"}
_SHOWN_DIGITS = 12


def write_as_asked(spec: CampaignSpec) -> dict[str, Any]:
    """Field of a request to its JSON value; ``packages`` and the gate of each wave, however it was asked for.

    Targets are said in words, such as ``12 devices (sha256 0a1b…)`` or ``roof (SELECT * FROM devices)``: what a group
    or a list means goes with its name. Who edited the waves is left out, because nobody asks for it.
    """
    said = _SPEC.dump_python(spec, mode="json")
    package, others = said.pop("package"), said.pop("other_packages")
    return {
        "name": said.pop("name"),
        "packages": [package, *others],
        "targets": _targets(said.pop("targets"), said.pop("targeting")),
        "waves": [_wave(wave) for wave in said.pop("waves")],
        "windows": [_window(window) for window in said.pop("windows")],
        **said.pop("pace"),
        **said.pop("precedence"),
        **said,
    }


def _wave(wave: dict[str, Any]) -> dict[str, Any]:
    size, gate = wave.pop("size"), wave.pop("gate")
    cut = {_SIZES.get(name, name): value for name, value in size.items()} or {"rest": True}
    return {**wave, **cut, "gate": gate}


def _window(window: dict[str, Any]) -> dict[str, Any]:
    times = {name: window[name].removesuffix(":00") for name in ("start", "end")}
    return {**window, "days": [WEEKDAYS[day - 1] for day in window["days"]], **times}


def _targets(targets: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    del said["revision"]
    query, group, list_name = targets.pop("query", None), said.pop("group"), said.pop("list_name")
    devices = _devices(targets.pop("count"), targets.pop("sha256")) if query is None else query
    copied = f"list {list_name}, {devices}" if list_name and group else devices
    if group or list_name:
        found = {"group" if group else "list": f"{group or list_name} ({copied})"}
    else:
        found = {"devices" if query is None else "query": devices}
    return {**found, "exclude": _exclude(said), **targets, **said}


def _exclude(said: dict[str, Any]) -> dict[str, Any] | None:
    """What is left out; takes it from what was said."""
    count, sha256 = said.pop("excluded"), said.pop("excluded_sha256")
    group, meaning = said.pop("excluded_group"), said.pop("excluded_group_query")
    left_out = {
        "devices": _devices(count, sha256) if count or sha256 else None,
        "query": said.pop("excluded_query") or None,
        "list": said.pop("excluded_lists") or None,
        "group": (f"{group} ({meaning})" if meaning else group) or None,
    }
    return left_out if any(left_out.values()) else None


def _devices(count: int, sha256: str) -> str:
    return f"{count} devices (sha256 {sha256[:_SHOWN_DIGITS]})"
