"""Blobs of the ``parked`` container: the body as it came; source, code and reason as metadata.

Metadata travels in HTTP headers, which carry ASCII: its texts are percent-encoded. All metadata of a blob may have
8 KB, and the texts may be a stranger's, so it is the encoded text that is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

MAX_TEXT_BYTES = 2_000
"""Of one encoded text. Azure Storage takes 8 KB of metadata, names included, and there are four texts."""

_SAFE = " ,.:;()"


def parked_blob(source: str, sha256: str) -> str:
    """Name of the blob: ``<source>/<digest of the body>``, so that the same body is kept once."""
    return f"{quote(source, safe='')}/{sha256}"


def write_reason(*, source: str, code: str, reason: str, session_id: str = "") -> dict[str, str]:
    """The metadata of a parked message; what is empty is left out, because a header without a value may get lost."""
    texts = {"source": source, "code": code, "reason": reason, "session": session_id}
    return {key: _encoded(text) for key, text in texts.items() if text}


def read_reason(metadata: Mapping[str, str]) -> tuple[str, str, str]:
    """Source, code and reason of a parked message; what the metadata lacks is empty."""
    source, code, reason = (unquote(metadata.get(key, "")) for key in ("source", "code", "reason"))
    return source, code, reason


def read_session(metadata: Mapping[str, str]) -> str:
    """The session that a parked message came in; empty where it had none."""
    return unquote(metadata.get("session", ""))


def _encoded(text: str) -> str:
    """The text percent-encoded, as much of its beginning as there is room for, never half a character."""
    encoded: list[str] = []
    room_bytes = MAX_TEXT_BYTES
    for character in text[:MAX_TEXT_BYTES]:
        # JSON can hold half of a surrogate pair, which UTF-8 cannot.
        quoted = quote(character, safe=_SAFE, errors="replace")
        room_bytes -= len(quoted)
        if room_bytes < 0:
            break
        encoded.append(quoted)
    return "".join(encoded)
