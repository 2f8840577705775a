"""Blobs of the ``parked`` container: the body as it came; source, code and reason as metadata.

Metadata travels in HTTP headers, which carry ASCII: the reason is percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

MAX_REASON_LENGTH = 1_000


def parked_blob(source: str, sha256: str) -> str:
    """Name of the blob: ``<source>/<digest of the body>``, so that the same body is kept once."""
    return f"{quote(source, safe='')}/{sha256}"


def write_reason(*, source: str, code: str, reason: str) -> dict[str, str]:
    """The metadata of a parked message; what is empty is left out, because a header without a value may get lost."""
    texts = {"source": source, "code": code, "reason": reason[:MAX_REASON_LENGTH]}
    return {key: quote(text, safe=" ,.:;()") for key, text in texts.items() if text}


def read_reason(metadata: Mapping[str, str]) -> tuple[str, str, str]:
    """Source, code and reason of a parked message; what the metadata lacks is empty."""
    source, code, reason = (unquote(metadata.get(key, "")) for key in ("source", "code", "reason"))
    return source, code, reason
