"""``ar`` archives, the envelope of Debian packages (deb(5), ar(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import ByteSource, SectionSource, read_exact, skip_all

MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_HEADER_END = b"`\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A member of an archive; unread content is skipped when the walk goes on."""

    name: str
    size_bytes: int
    body: ByteSource


def walk_archive(source: ByteSource) -> Iterator[ArchiveMember]:
    """The members in order.

    Raises:
        ArtifactRefused: ``corrupt`` or ``truncated``.
    """
    if read_exact(source, len(MAGIC), "archive header") != MAGIC:
        raise refused(Refusal.CORRUPT, "this is no ar archive")
    while first := source.read(1):
        member = _read_member(first + read_exact(source, _HEADER_BYTES - 1, "member header"), source)
        yield member
        skip_all(member.body)
        _skip_padding(source, member.size_bytes)


def _read_member(header: bytes, source: ByteSource) -> ArchiveMember:
    name = header[:16].decode("ascii", errors="replace").rstrip().removesuffix("/")
    size_text = header[48:58].strip()
    if header[58:] != _HEADER_END or not size_text.isdigit():
        raise refused(Refusal.CORRUPT, f"the header of archive member {name!r} cannot be read")
    size_bytes = int(size_text)
    return ArchiveMember(name=name, size_bytes=size_bytes, body=SectionSource(source, size_bytes, f"member {name}"))


def _skip_padding(source: ByteSource, size_bytes: int) -> None:
    # Some writers leave the last padding byte out, and dpkg takes such packages.
    if size_bytes % 2:
        source.read(1)
