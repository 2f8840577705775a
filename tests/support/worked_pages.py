"""Pages whose examples are run as they are written.

An ``http`` block that begins with a method is a request, or several with a blank line between. The ``http`` block after
it, which begins with ``HTTP/1.1``, is its answer: the status, and of the body the fields that matter. ``…`` in a text
stands for anything, and at the end of a list for what else is in it; ``{id}`` in a path is the campaign that the
section posted last. A ``GET`` is repeated until it answers what the page says. ``<!-- devices: {"north-1": "ok"} -->``
says who takes part and how they behave, ``<!-- tags: {"north-1": {"ring": "canary"}} -->`` how their twins are tagged,
and ``<!-- hardware: {"north-1": "v2"} -->`` what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.fleet import Behaviour
from agent.fleet.behaviour import parse_behaviour

_BLOCK = re.compile(r"^```(http|json)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DEVICES = re.compile(r"<!-- devices: (\{.*?\}) -->", re.DOTALL)
_TAGS = re.compile(r"<!-- tags: (\{.*?\}) -->", re.DOTALL)
_HARDWARE = re.compile(r"<!-- hardware: (\{.*?\}) -->", re.DOTALL)
_SECTION = re.compile(r"^## ", re.MULTILINE)
_REQUEST = re.compile(r"\n\n(?=(?:GET|POST|PUT|PATCH|DELETE) /)")
_DOTS = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the page says comes back."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the page asks for, and what it says comes back; None where it only has to work."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page that stands for itself.

    Attributes:
        tags: Device to the tags of its twin.
        hardware: Device to what it is.
        fragments: Parts of campaign requests, shown on their own.
    """

    title: str
    devices: dict[str, Behaviour]
    tags: dict[str, dict[str, Any]]
    hardware: dict[str, str]
    requests: list[Request] = field(default_factory=list)
    fragments: list[dict[str, Any]] = field(default_factory=list)


def read_page(path: Path) -> list[Section]:
    """The sections that have examples."""
    sections = [_read_section(text) for text in _SECTION.split(path.read_text())[1:]]
    return [section for section in sections if section.requests or section.fragments]


def _read_section(text: str) -> Section:
    devices = {
        name: parse_behaviour(how) for found in _DEVICES.findall(text) for name, how in json.loads(found).items()
    }
    tags = {name: given for found in _TAGS.findall(text) for name, given in json.loads(found).items()}
    hardware = {name: kind for found in _HARDWARE.findall(text) for name, kind in json.loads(found).items()}
    section = Section(title=text.partition("\n")[0], devices=devices, tags=tags, hardware=hardware)
    for kind, block in _BLOCK.findall(text):
        if kind == "json":
            section.fragments.append(json.loads(block if block.lstrip().startswith("{") else f"{{{block}}}"))
        elif block.startswith("HTTP/1.1 "):
            asked = section.requests.pop()
            section.requests.append(_with_answer(asked, block))
        else:
            section.requests.extend(_read_request(part) for part in _REQUEST.split(block))
    return section


def _read_request(text: str) -> Request:
    first, headers, body = _split(text)
    method, _, path = first.partition(" ")
    return Request(method=method, path=path, headers=headers, body=body)


def _with_answer(request: Request, text: str) -> Request:
    first, _, body = _split(text)
    answer = Answer(status=int(first.split(" ")[1]), body=body)
    return Request(method=request.method, path=request.path, headers=request.headers, body=request.body, answer=answer)


def _split(text: str) -> tuple[str, dict[str, str], Any]:
    """First line, headers and body; a body may follow at once."""
    head, brace, body = text.partition("\n{")
    first, *lines = head.strip().splitlines()
    headers = dict(line.split(": ", 1) for line in lines if line)
    return first, headers, json.loads(brace + body) if brace else None


def find_differences(claimed: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where what was found is not what the page claims."""
    if isinstance(claimed, dict) and isinstance(found, dict):
        for name, value in claimed.items():
            if name not in found:
                yield f"{where}.{name} is not there"
            else:
                yield from find_differences(value, found[name], f"{where}.{name}")
    elif isinstance(claimed, list) and isinstance(found, list) and claimed[-1:] == [_DOTS]:
        yield from find_differences(claimed[:-1], found[: len(claimed) - 1], where)
    elif isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        for number, (one, other) in enumerate(zip(claimed, found, strict=True)):
            yield from find_differences(one, other, f"{where}.{number}")
    elif not _is_said(claimed, found):
        yield f"{where} is {found!r}, the page says {claimed!r}"


def _is_said(claimed: Any, found: Any) -> bool:
    if isinstance(claimed, str) and isinstance(found, str) and _DOTS in claimed:
        return re.fullmatch(".*".join(map(re.escape, claimed.split(_DOTS))), found, re.DOTALL) is not None
    return bool(claimed == found)
