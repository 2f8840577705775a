"""U-Boot legacy images: a header of 64 bytes with two checksums, then the data.

Layout from U-Boot's ``include/image.h``, ``struct legacy_img_hdr``; numbers are big-endian.
"""

from __future__ import annotations

import re
import struct
import zlib

from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import SKIP_BYTES, ByteSource, SectionSource, read_exact
from shared.domain.errors import InvalidId
from shared.domain.ids import package_name
from shared.domain.packages import PackageKind
from shared.domain.versions import Version

MAGIC = struct.pack(">I", 0x27051956)

# magic, header CRC, time, data size, load address, entry point, data CRC, OS, architecture, type, compression, name
_HEADER = struct.Struct(">7I4B32s")
_CHECKSUM_FIELD = slice(4, 8)
_NAME_AND_VERSION = re.compile(r"(?P<name>.+?)[ _-]v?(?P<version>[0-9]+(?:\.[0-9]+)+\S*)")


def inspect_uimage(source: ByteSource) -> Finding:
    """Check both checksums and read name and version out of the name field where it holds them.

    Raises:
        ArtifactRefused: ``truncated`` or ``corrupt``.
    """
    header = read_exact(source, _HEADER.size, "uImage header")
    _, header_crc, _, size, _, _, data_crc, _, _, _, _, name_field = _HEADER.unpack(header)
    unsummed = bytearray(header)
    unsummed[_CHECKSUM_FIELD] = bytes(4)
    if zlib.crc32(unsummed) != header_crc:
        raise refused(Refusal.CORRUPT, "the uImage header does not have the checksum it names")
    if _checksum(SectionSource(source, size, "uImage data")) != data_crc:
        raise refused(Refusal.CORRUPT, "the data does not have the checksum that the uImage header names")
    if source.read(1):
        raise refused(Refusal.CORRUPT, f"bytes follow the {size} that the uImage header announces")
    name, version = _read_name_field(name_field.partition(b"\0")[0].decode("ascii", errors="replace"))
    return Finding(kind=PackageKind.FIRMWARE, name=name, version=version)


def _checksum(data: SectionSource) -> int:
    checksum = 0
    while octets := data.read(SKIP_BYTES):
        checksum = zlib.crc32(octets, checksum)
    return checksum


def _read_name_field(text: str) -> tuple[str, str]:
    """Name and version; the field is free text, so what cannot be used counts as not there."""
    match = _NAME_AND_VERSION.fullmatch(text.strip())
    name, version = (match["name"], match["version"]) if match else (text.strip(), "")
    return _usable_name(name), _usable_version(version)


def _usable_name(text: str) -> str:
    try:
        return package_name(text)
    except InvalidId:
        return ""


def _usable_version(text: str) -> str:
    try:
        return Version(text).text
    except InvalidId:
        return ""
