"""Runs queries page by page without holding up the loop."""

import asyncio
import base64
import binascii
import hashlib
from dataclasses import dataclass

from emulator.hub.errors import HubError, invalid
from emulator.hub.query.evaluation import compile_filter, compile_rows
from emulator.hub.query.parser import parse_query
from emulator.hub.query.syntax import Query, Row
from emulator.hub.query.view import Devices

MAX_PAGE = 100
"""The largest page that the query reference promises, and the default."""
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows.

    Attributes:
        item_type: ``twin`` for whole twins, ``raw`` for anything else.
        continuation: for the next page; empty where there is none.
    """

    rows: list[Row]
    item_type: str
    continuation: str = ""


async def run_query(registered: Devices, text: str, *, page_size: int = MAX_PAGE, continuation: str = "") -> Page:
    """One page, in the order of the devices' creation.

    A device created, changed or deleted between two pages may or may not be seen; none is seen twice.

    Raises:
        HubError: 400004.
    """
    query = parse_query(text)
    if query.count_as is not None:
        return Page(rows=[{query.count_as: await _count(registered, query)}], item_type="raw")
    after = _read_continuation(continuation, text) if continuation else 0
    rows, last = await _select(registered, query, after, min(page_size, MAX_PAGE))
    return Page(
        rows=rows,
        item_type="twin" if query.projections is None else "raw",
        continuation=_write_continuation(last, text) if last else "",
    )


async def _select(registered: Devices, query: Query, after: int, size: int) -> tuple[list[Row], int]:
    """The rows of a page, and the serial number to go on after; 0 at the end."""
    selects, row = compile_filter(query), compile_rows(query)
    rows: list[Row] = []
    shown = looked_at = after
    while devices := registered.after(looked_at, _CHUNK):
        for device in filter(selects, devices):
            if len(rows) == size:
                return rows, shown
            rows.append(row(device))
            shown = device.serial
        looked_at = devices[-1].serial
        await asyncio.sleep(0)
    return rows, 0


async def _count(registered: Devices, query: Query) -> int:
    selects = compile_filter(query)
    after = total = 0
    while devices := registered.after(after, _CHUNK):
        total += sum(map(selects, devices))
        after = devices[-1].serial
        await asyncio.sleep(0)
    return total


def _write_continuation(after: int, text: str) -> str:
    return base64.b64encode(f"{after}:{_fingerprint(text)}".encode()).decode()


def _read_continuation(token: str, text: str) -> int:
    try:
        after, _, fingerprint = base64.b64decode(token, validate=True).decode().partition(":")
        serial = int(after)
    except (binascii.Error, ValueError):
        raise _bad_continuation() from None
    if fingerprint != _fingerprint(text):
        raise _bad_continuation()
    return serial


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bad_continuation() -> HubError:
    return invalid("The continuation token does not belong to this query")
