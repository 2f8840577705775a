"""What people write about an artifact: its blob metadata, and the ``.package.json`` beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.domain.artifacts.naming import Description
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.packages import Compatibility

_FIELDS = frozenset({"name", "version", "compatibility"})
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_VALUE_LENGTH = 128


def read_metadata(metadata: Mapping[str, str]) -> Description:
    """The description in blob metadata; other keys than the three are the uploader's own business.

    Raises:
        ArtifactRefused: ``bad_description``.
    """
    origin = "the blob metadata"
    document: dict[str, Any] = {key: metadata[key].strip() for key in ("name", "version") if key in metadata}
    if "compatibility" in metadata:
        document["compatibility"] = _parse(metadata["compatibility"].encode(), f"compatibility in {origin}")
    return describe(document, origin)


def read_description(content: bytes, origin: str) -> Description:
    """The description in a ``.package.json``.

    Raises:
        ArtifactRefused: ``bad_description``.
    """
    document = _parse(content, origin)
    if not isinstance(document, dict):
        raise refused(Refusal.BAD_DESCRIPTION, f"{origin} is not a JSON object")
    if unknown := sorted(document.keys() - _FIELDS):
        raise refused(
            Refusal.BAD_DESCRIPTION,
            f"{origin} has the unknown field {unknown[0]!r}; known: name, version, compatibility",
        )
    return describe(document, origin)


def describe(document: Mapping[str, Any], origin: str) -> Description:
    """The description in the three fields, each of which may be left out.

    Raises:
        ArtifactRefused: ``bad_description``.
    """
    for field in ("name", "version"):
        if not isinstance(document.get(field, ""), str):
            raise refused(Refusal.BAD_DESCRIPTION, f"{field} in {origin} is not text")
    compatibility = document.get("compatibility")
    return Description(
        origin=origin,
        name=document.get("name", ""),
        version=document.get("version", ""),
        compatibility=None if compatibility is None else _read_compatibility(compatibility, origin),
    )


def _parse(content: bytes, origin: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refused(Refusal.BAD_DESCRIPTION, f"{origin} is not JSON: {error}") from error


def _read_compatibility(document: Any, origin: str) -> Compatibility:
    if not isinstance(document, dict):
        raise _bad_compatibility(origin)
    return {_property(key, origin): _values(values, origin) for key, values in document.items()}


def _property(key: str, origin: str) -> str:
    if not _PROPERTY.fullmatch(key):
        raise _bad_compatibility(origin)
    return key


def _values(values: Any, origin: str) -> tuple[str, ...]:
    listed = [values] if isinstance(values, str) else values
    if not isinstance(listed, list) or not listed:
        raise _bad_compatibility(origin)
    for value in listed:
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_VALUE_LENGTH:
            raise _bad_compatibility(origin)
    return tuple(listed)


def _bad_compatibility(origin: str) -> Exception:
    return refused(
        Refusal.BAD_DESCRIPTION,
        f"compatibility in {origin} must give device properties their accepted values, such as "
        '{"hardware": ["gateway-2"]}',
    )
