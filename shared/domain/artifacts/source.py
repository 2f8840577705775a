"""Reading forward through bytes that come in chunks, and digesting them on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

from shared.domain.artifacts.refusals import Refusal, refused

SKIP_BYTES = 1024 * 1024


class ByteSource(Protocol):
    """Something that is read forward once."""

    def read(self, size_bytes: int) -> bytes:
        """One to ``size_bytes`` bytes; nothing at the end."""


class DigestingSource:
    """A source over chunks that counts and digests what passes, so that one pass serves inspection and digest."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self._sha256 = hashlib.sha256()
        self.length_bytes = 0

    def read(self, size_bytes: int) -> bytes:
        """One to ``size_bytes`` bytes; nothing at the end."""
        if not self._rest:
            self._rest = memoryview(self._next())
        taken, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
        return bytes(taken)

    def peek(self, size_bytes: int) -> bytes:
        """The next bytes without moving on; fewer only where the end is near."""
        while len(self._rest) < size_bytes and (chunk := self._next()):
            self._rest = memoryview(bytes(self._rest) + chunk)
        return bytes(self._rest[:size_bytes])

    def finish(self) -> str:
        """Read to the end; the lower-case hex SHA-256 of everything."""
        self._rest = memoryview(b"")
        while self._next():
            pass
        return self._sha256.hexdigest()

    def _next(self) -> bytes:
        chunk = next((chunk for chunk in self._chunks if chunk), b"")
        self._sha256.update(chunk)
        self.length_bytes += len(chunk)
        return chunk


class SectionSource:
    """The next ``size_bytes`` of another source.

    Raises:
        ArtifactRefused: On reading, ``truncated`` where the other source ends inside the section.
    """

    def __init__(self, source: ByteSource, size_bytes: int, what: str) -> None:
        self._source = source
        self._left = size_bytes
        self._what = what

    def read(self, size_bytes: int) -> bytes:
        """One to ``size_bytes`` bytes; nothing at the end of the section."""
        if not self._left:
            return b""
        octets = self._source.read(min(size_bytes, self._left))
        if not octets:
            raise refused(Refusal.TRUNCATED, f"the file ends {self._left} bytes before the end of its {self._what}")
        self._left -= len(octets)
        return octets


def read_exact(source: ByteSource, size_bytes: int, what: str) -> bytes:
    """Exactly that many bytes.

    Raises:
        ArtifactRefused: ``truncated``, where the source has fewer.
    """
    return read_all(SectionSource(source, size_bytes, what))


def read_all(source: ByteSource) -> bytes:
    """Everything up to the end; only for what is known to be small."""
    return b"".join(iter(lambda: source.read(SKIP_BYTES), b""))


def skip_all(source: ByteSource) -> None:
    """Read to the end and keep nothing."""
    while source.read(SKIP_BYTES):
        pass
