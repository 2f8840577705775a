"""Decompressing forward with bounded memory and a bound on how much comes out."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import ByteSource

_INPUT_BYTES = 64 * 1024
# Decoding a preset 9 stream takes 65 MiB (xz manual page, section "Compression preset levels").
_XZ_MEMORY_BYTES = 80 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionLimit:
    """How much may come out of a compressed archive.

    Attributes:
        max_bytes: In any case.
        max_ratio: Bytes out per byte in, looked at only beyond ``free_bytes``.
        free_bytes: What any archive may expand to.
    """

    max_bytes: int
    max_ratio: int = 500
    free_bytes: int = 64 * 1024 * 1024


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decoder with the interface of the two others."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        octets = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        self.needs_input = len(octets) < max_length and not self._decoder.unconsumed_tail
        return octets


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    ".gz": _Gzip,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES),
    ".lzma": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES),
    ".bz2": bz2.BZ2Decompressor,
}


def expand(source: ByteSource, suffix: str, limit: ExpansionLimit, what: str) -> ByteSource:
    """The decompressed source; the source itself where the suffix is empty.

    Raises:
        ArtifactRefused: ``compression_unsupported``; on reading, ``corrupt``, ``truncated`` or ``decompression_bomb``.
    """
    if not suffix:
        return source
    if suffix not in _DECODERS:
        raise refused(Refusal.COMPRESSION_UNSUPPORTED, f"{what} is compressed as {suffix}, which is not read here")
    return _Expanded(source, _DECODERS[suffix], limit, what)


class _Expanded:
    def __init__(self, source: ByteSource, new: Callable[[], _Decoder], limit: ExpansionLimit, what: str) -> None:
        self._source, self._new, self._limit, self._what = source, new, limit, what
        self._decoder = new()
        self._bytes_in = 0
        self._bytes_out = 0

    def read(self, size_bytes: int) -> bytes:
        """One to ``size_bytes`` bytes; nothing at the end."""
        while True:
            octets = self._decode(size_bytes)
            if octets:
                self._count(len(octets))
                return octets
            if self._decoder.eof and not self._begin_next_stream():
                return b""

    def _decode(self, size_bytes: int) -> bytes:
        if self._decoder.eof:
            return b""
        octets = self._fetch() if self._decoder.needs_input else b""
        try:
            return self._decoder.decompress(octets, size_bytes)
        except (zlib.error, EOFError, OSError, lzma.LZMAError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Exception:
        if "memory" in str(error).lower():
            return refused(Refusal.COMPRESSION_UNSUPPORTED, f"{self._what} needs more than 80 MiB to be decompressed")
        return refused(Refusal.CORRUPT, f"{self._what} cannot be decompressed: {error}")

    def _fetch(self) -> bytes:
        octets = self._source.read(_INPUT_BYTES)
        if not octets:
            raise refused(Refusal.TRUNCATED, f"{self._what} ends before its compressed data does")
        self._bytes_in += len(octets)
        return octets

    def _begin_next_stream(self) -> bool:
        """Concatenated streams are one; zero bytes between or after them are padding."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            octets = self._source.read(_INPUT_BYTES)
            if not octets:
                return False
            rest = octets.lstrip(b"\0")
        self._decoder = self._new()
        self._source = _Prefixed(rest, self._source)
        return True

    def _count(self, size_bytes: int) -> None:
        self._bytes_out += size_bytes
        limit = self._limit
        too_dense = self._bytes_out > max(limit.free_bytes, self._bytes_in * limit.max_ratio)
        if too_dense or self._bytes_out > limit.max_bytes:
            raise refused(
                Refusal.DECOMPRESSION_BOMB,
                f"{self._what} unpacks to more than {self._bytes_out} bytes out of the first {self._bytes_in}",
            )


class _Prefixed:
    def __init__(self, prefix: bytes, source: ByteSource) -> None:
        self._prefix, self._source = prefix, source

    def read(self, size_bytes: int) -> bytes:
        taken, self._prefix = self._prefix[:size_bytes], self._prefix[size_bytes:]
        return taken or self._source.read(size_bytes)
