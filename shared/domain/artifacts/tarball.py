"""Walking a tar archive forward, header by header.

``tarfile`` reads extension headers of any size into memory; here their size is bounded and what dpkg cannot unpack is
refused, so the archive needs no more memory than its longest name.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import ByteSource, SectionSource, read_all, read_exact, skip_all

_BLOCK = 512
_MAX_NAME_BYTES = 4096
_DPKG_TYPES = frozenset(
    {
        *tarfile.REGULAR_TYPES[:2],
        tarfile.CONTTYPE,
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.DIRTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """A member of an archive.

    Attributes:
        name: As it stands in the archive, without a trailing slash.
        link: Where a symbolic or hard link points; empty otherwise.
        body: Its content; unread content is skipped when the walk goes on.
    """

    name: str
    link: str
    is_file: bool
    is_directory: bool
    is_symlink: bool
    is_hardlink: bool
    body: ByteSource


def walk_tar(source: ByteSource, what: str) -> Iterator[TarMember]:
    """The members in order; reads to the end of the source.

    Raises:
        ArtifactRefused: ``corrupt`` or ``truncated``.
    """
    long_name = long_link = ""
    while header := _read_header(source, what):
        body = SectionSource(source, header.size, f"member {header.name!r} in {what}")
        if header.type == tarfile.GNUTYPE_LONGNAME:
            long_name = _read_long(header, body, what)
        elif header.type == tarfile.GNUTYPE_LONGLINK:
            long_link = _read_long(header, body, what)
        else:
            yield _member(header, body, long_name, long_link, what)
            long_name = long_link = ""
        skip_all(body)
        read_exact(source, -header.size % _BLOCK, what)
    skip_all(source)


def _read_header(source: ByteSource, what: str) -> tarfile.TarInfo | None:
    first = source.read(1)
    if not first:
        return None
    block = first + read_exact(source, _BLOCK - 1, what)
    if block == bytes(_BLOCK):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise refused(Refusal.CORRUPT, f"a member header in {what} cannot be read: {error}") from error
    if header.size < 0:
        raise refused(Refusal.CORRUPT, f"member {header.name!r} in {what} has a negative size")
    return header


def _read_long(header: tarfile.TarInfo, body: SectionSource, what: str) -> str:
    if header.size > _MAX_NAME_BYTES:
        raise refused(Refusal.CORRUPT, f"a member of {what} has a name of {header.size} bytes")
    return read_all(body).partition(b"\0")[0].decode("utf-8", errors="surrogateescape")


def _member(header: tarfile.TarInfo, body: SectionSource, long_name: str, long_link: str, what: str) -> TarMember:
    name = (long_name or header.name).rstrip("/")
    if header.type not in _DPKG_TYPES:
        raise refused(Refusal.CORRUPT, f"member {name!r} in {what} is of a type that dpkg does not unpack")
    if header.size and not header.isreg():
        raise refused(Refusal.CORRUPT, f"member {name!r} in {what} is no file, and yet has content")
    is_link = header.issym() or header.islnk()
    return TarMember(
        name=name,
        link=(long_link or header.linkname) if is_link else "",
        is_file=header.isreg(),
        is_directory=header.isdir(),
        is_symlink=header.issym(),
        is_hardlink=header.islnk(),
        body=body,
    )
