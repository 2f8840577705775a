"""Lists of devices as operators write them: one id a line, ended by LF or CRLF; empty lines are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId, device_id
from shared.wire.http_fields import InvalidRequest

MAX_LISTED = 1_000_000
"""As many devices as an IoT Hub holds (IoT Hub quotas and throttling, other limits)."""

_MAX_LINE_BYTES = 1_024
_HEADING = re.compile(rb"(?:device|deviceid|device_id|device-id)s?(?:,.*)?", re.IGNORECASE | re.DOTALL)
"""A table's first line would be a legal id: those of IoT Hub may hold commas (identity registry, device identity)."""


def read_target_list(name: str, chunks: Iterable[bytes], *, field: str = "targets.list") -> list[DeviceId]:
    """The ids in their order, repeats removed.

    Args:
        field: The field of the request that named the list.

    Raises:
        InvalidRequest: A line is no device id, there are none, or too many; the message names blob and line.
    """
    found: dict[DeviceId, None] = {}
    for number, line in enumerate(_lines(name, chunks, field), start=1):
        if text := line.strip():
            if not found and _HEADING.fullmatch(text):
                raise InvalidRequest(f"{field}: line {number} of {name} is a heading, {_shown(text)}; take it out")
            found[_device(f"{field}: line {number} of {name}", text)] = None
        if len(found) > MAX_LISTED:
            raise InvalidRequest(f"{field}: {name} has more than {MAX_LISTED:,} devices")
    if not found:
        raise InvalidRequest(f"{field}: {name} names no device")
    return list(found)


def _lines(name: str, chunks: Iterable[bytes], field: str) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _MAX_LINE_BYTES:
            raise InvalidRequest(f"{field}: {name} is no list of devices: it has a line of {len(rest):,} bytes")
    yield rest


def _shown(text: bytes) -> str:
    return repr(text[:80].decode("ascii", errors="replace"))


def _device(place: str, text: bytes) -> DeviceId:
    try:
        return device_id(text.decode("ascii"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{place} is not plain ASCII; save the list without a byte order mark") from error
    except DomainError as error:
        raise InvalidRequest(f"{place}: {error.message}") from error
