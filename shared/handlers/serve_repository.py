"""Serve the index's metadata, which is no secret, to any TUF client and any cache between."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace

from shared.domain.errors import NotFound
from shared.ports.errors import NotThere
from shared.ports.packages import IndexStore
from shared.trust.index import TIMESTAMP_FILE

# A new state may be seen this much later; short, because a paused or withdrawn package waits for it too.
_TIMESTAMP_CACHE = "public, max-age=5, must-revalidate"
_VERSIONED_CACHE = "public, max-age=31536000, immutable"
_WORTH_COMPRESSING = 1_000
_LEVEL = 6
_SERVED = re.compile(r"timestamp\.json|[1-9][0-9]{0,9}\.(?:root|targets|snapshot|bin-[0-9a-f]{1,4})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataFile:
    """A metadata file as HTTP needs it."""

    content: bytes
    etag: str
    cache_control: str
    encoding: str = ""

    def encoded_for(self, accept_encoding: str) -> MetadataFile:
        """The file as a caller with this ``Accept-Encoding`` gets it: metadata is mostly repetition.

        Another representation has another etag (RFC 9110, section 8.8.3).
        """
        if len(self.content) < _WORTH_COMPRESSING or not _accepts_gzip(accept_encoding):
            return self
        content = gzip.compress(self.content, _LEVEL, mtime=0)
        return replace(self, content=content, etag=f'{self.etag.removesuffix(chr(34))}-gzip"', encoding="gzip")

    def is_known(self, if_none_match: str) -> bool:
        """Whether the caller's ``If-None-Match`` names this very content, so that 304 is the answer."""
        return any(etag.strip().removeprefix("W/") in (self.etag, "*") for etag in if_none_match.split(","))


def _accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip and does not rule it out (RFC 9110, section 12.5.3)."""
    for choice in accept_encoding.lower().split(","):
        coding, _, weight = choice.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def serve_repository(name: str, store: IndexStore) -> MetadataFile:
    """The file behind ``GET /repository/metadata/<name>``.

    Raises:
        NotFound: There is no such file, or no metadata file has such a name.
        PortError: The store does not answer.
    """
    if not _SERVED.fullmatch(name):
        raise NotFound(f"{name[:80]!r} is no metadata file")
    try:
        stored = store.read(name)
    except NotThere as error:
        raise NotFound(f"there is no {name} in the index") from error
    is_timestamp = name == TIMESTAMP_FILE
    return MetadataFile(
        content=stored.value, etag=stored.etag, cache_control=_TIMESTAMP_CACHE if is_timestamp else _VERSIONED_CACHE
    )
