"""Parts of an archived campaign: gzipped JSON lines, a row a line, with the etag it was exported under."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.domain.ids import CampaignId
from shared.domain.retention import Archive

type Line = tuple[str, str, Mapping[str, Any]]
"""Key, etag and columns of a row."""


def part_blob(campaign: CampaignId, archive: Archive) -> str:
    """Name of the part in hand."""
    return f"{_folder(campaign, archive)}/{archive.shard:02d}-{archive.part:06d}.jsonl.gz"


def late_blob(campaign: CampaignId, archive: Archive, content: bytes) -> str:
    """Name of the rows of a part that changed after it was exported: the same rows have the same name."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{_folder(campaign, archive)}/{archive.shard:02d}-{archive.part:06d}-late-{digest}.jsonl.gz"


def write_lines(lines: Iterable[Line]) -> bytes:
    """The part; the same lines make the same bytes."""
    documents = ({"key": key, "etag": etag, "row": dict(row)} for key, etag, row in lines)
    text = "".join(f"{json.dumps(document, separators=(',', ':'))}\n" for document in documents)
    return gzip.compress(text.encode(), mtime=0)


def read_lines(content: bytes) -> list[Line]:
    """The lines of a part."""
    documents = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    return [(document["key"], document["etag"], document["row"]) for document in documents]


def storable(value: Any) -> Any:
    """A column's value as JSON holds it; times as ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else value


def _folder(campaign: CampaignId, archive: Archive) -> str:
    return f"{campaign}/{archive.begun_at:%Y%m%dT%H%M%SZ}"
