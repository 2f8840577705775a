"""MCUboot images: header, payload, and a trailer of type-length-values with the digest of the two.

Layout from MCUboot's design document, section "Image format"; numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import SKIP_BYTES, ByteSource, SectionSource, read_exact
from shared.domain.packages import PackageKind

MAGIC = struct.pack("<I", 0x96F3B83D)

# magic, load address, header size, protected trailer size, payload size, flags, version (4 fields), padding
_HEADER = struct.Struct("<IIHHIIBBHII")
_TRAILER_INFO = struct.Struct("<HH")
_ENTRY = struct.Struct("<HH")
_TRAILER_MAGIC = 0x6907
_SHA256_ENTRY = 0x10
_ENCRYPTED_FLAGS = 0x04 | 0x08


def inspect_mcuboot(source: ByteSource) -> Finding:
    """Check an image against the digest in its trailer and read its version.

    An encrypted image is digested before it is encrypted (same section), so only its structure can be checked.

    Raises:
        ArtifactRefused: ``truncated`` or ``corrupt``.
    """
    header = read_exact(source, _HEADER.size, "MCUboot header")
    _, _, header_size, protected_size, payload_size, flags, major, minor, revision, build, _ = _HEADER.unpack(header)
    if header_size < _HEADER.size:
        raise refused(Refusal.CORRUPT, f"the MCUboot header says it is {header_size} bytes long, less than any is")
    digest = hashlib.sha256(header)
    body = SectionSource(source, header_size - _HEADER.size + payload_size + protected_size, "MCUboot payload")
    while octets := body.read(SKIP_BYTES):
        digest.update(octets)
    expected = _find_digest(source)
    if not flags & _ENCRYPTED_FLAGS and expected != digest.digest():
        raise refused(Refusal.CORRUPT, "the payload does not have the SHA-256 that the MCUboot trailer names")
    version = f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")
    return Finding(kind=PackageKind.FIRMWARE, version=version)


def _find_digest(source: ByteSource) -> bytes:
    magic, total_size = _TRAILER_INFO.unpack(read_exact(source, _TRAILER_INFO.size, "MCUboot trailer"))
    if magic != _TRAILER_MAGIC or total_size < _TRAILER_INFO.size:
        raise refused(Refusal.CORRUPT, "no MCUboot trailer stands where the header says the payload ends")
    trailer = read_exact(source, total_size - _TRAILER_INFO.size, "MCUboot trailer")
    for kind, content in _entries(trailer):
        if kind == _SHA256_ENTRY:
            return content
    raise refused(Refusal.CORRUPT, "the MCUboot trailer holds no SHA-256; sign the image with imgtool's default digest")


def _entries(trailer: bytes) -> Iterator[tuple[int, bytes]]:
    while trailer:
        if len(trailer) < _ENTRY.size:
            raise refused(Refusal.CORRUPT, "the MCUboot trailer ends inside an entry")
        kind, size = _ENTRY.unpack_from(trailer)
        content, trailer = trailer[_ENTRY.size : _ENTRY.size + size], trailer[_ENTRY.size + size :]
        if len(content) < size:
            raise refused(Refusal.CORRUPT, "the MCUboot trailer ends inside an entry")
        yield kind, content
