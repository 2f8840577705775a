"""What may stand in tags and properties, and in a device id.

Numbers: IoT Hub developer guide, "Understand and use device twins" (format and size), and "identity registry" (ids).
"""

import math
import string
from collections.abc import Mapping
from typing import Any

from emulator.hub.errors import HubError, invalid

TAGS_BYTES = 8 * 1024
PROPERTIES_BYTES = 32 * 1024
KEY_BYTES = 1024
STRING_BYTES = 4096
DEPTH = 10
MIN_INTEGER = -4503599627370496
MAX_INTEGER = 4503599627370495
DEVICE_ID_LENGTH = 128
_DEVICE_ID_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-.%_*?!(),:=@$'#")
_NUMBER_BYTES = 8
_BOOLEAN_BYTES = 4
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_FORBIDDEN_IN_KEYS = frozenset(". $") | frozenset(map(chr, _CONTROLS))


def check_device_id(device_id: object) -> str:
    """The id itself, if the hub allows it.

    Raises:
        HubError: 400004.
    """
    if not isinstance(device_id, str) or not 0 < len(device_id) <= DEVICE_ID_LENGTH:
        raise invalid(f"A device id has 1 to {DEVICE_ID_LENGTH} characters")
    if not _DEVICE_ID_CHARACTERS.issuperset(device_id):
        raise invalid(f"The device id {device_id!r} has characters that are not allowed")
    return device_id


def check_patch(patch: object, where: str) -> dict[str, Any]:
    """The patch itself, if every key, value and depth in it is allowed; the total size is checked at the merge.

    Args:
        where: names the section in refusals, such as ``properties.desired``.

    Raises:
        HubError: 400004.
    """
    if not isinstance(patch, dict):
        raise invalid(f"{where} must be a JSON object")
    _check_object(patch, where, 0)
    return patch


def _check_object(document: Mapping[str, Any], where: str, depth: int) -> None:
    if depth > DEPTH:
        raise invalid(f"{where}: objects may be nested {DEPTH} deep")
    for key, value in document.items():
        _check_key(key, where)
        _check_value(value, f"{where}.{key}", depth)


def _check_key(key: str, where: str) -> None:
    if not key or len(key.encode()) > KEY_BYTES:
        raise invalid(f"{where}: a key has 1 to {KEY_BYTES} bytes")
    if not _FORBIDDEN_IN_KEYS.isdisjoint(key):
        raise invalid(f"{where}: the key {key!r} holds a dot, a dollar, a space or a control character")


def _check_value(value: Any, where: str, depth: int) -> None:
    match value:
        case bool() | None:
            return
        case str():
            _check_string(value, where)
        case int():
            if not MIN_INTEGER <= value <= MAX_INTEGER:
                raise invalid(f"{where}: integers lie between {MIN_INTEGER} and {MAX_INTEGER}")
        case float():
            if not math.isfinite(value):
                raise invalid(f"{where}: the number is not finite")
        case dict():
            _check_object(value, where, depth + 1)
        case list():
            _check_array(value, where, depth)


def _check_array(items: list[Any], where: str, depth: int) -> None:
    if depth > DEPTH:
        raise invalid(f"{where}: values may be nested {DEPTH} deep")
    for item in items:
        _check_value(item, where, depth + 1)


def _check_string(value: str, where: str) -> None:
    if len(value) * 4 > STRING_BYTES and len(value.encode()) > STRING_BYTES:
        raise invalid(f"{where}: a string has at most {STRING_BYTES} bytes")


def check_size(section: str, *, limit_bytes: int, before_bytes: int, after_bytes: int) -> None:
    """Refuse what would grow a section beyond its limit; a section may shrink from above it.

    Raises:
        HubError: 400004.
    """
    if after_bytes > limit_bytes and after_bytes > before_bytes:
        raise TwinTooLarge(f"{section} would hold {after_bytes} bytes; the limit is {limit_bytes}")


class TwinTooLarge(HubError):
    """A section would outgrow its limit (REST answers 400, MQTT 413)."""

    def __init__(self, message: str) -> None:
        super().__init__(invalid(message).code, message)


def entry_bytes(key: str, value: Any) -> int:
    """The size of one property: its key and its value."""
    return _text_bytes(key) + value_bytes(value)


def value_bytes(value: Any) -> int:
    """The size of a value as the hub counts it; null counts nothing."""
    match value:
        case str():
            return _text_bytes(value)
        case bool():
            return _BOOLEAN_BYTES
        case int() | float():
            return _NUMBER_BYTES
        case dict():
            return sum(entry_bytes(key, inner) for key, inner in value.items())
        case list():
            return sum(map(value_bytes, value))
    return 0


def _text_bytes(text: str) -> int:
    if text.isascii() and text.isprintable():
        return len(text)
    return len(text.translate(_CONTROLS).encode())
