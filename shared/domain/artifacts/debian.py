"""Debian packages (deb(5)): an ``ar`` archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.domain.artifacts.archive import ArchiveMember, walk_archive
from shared.domain.artifacts.expansion import ExpansionLimit, expand
from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.hostility import PathGuard
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import ByteSource, read_all
from shared.domain.artifacts.tarball import TarMember, walk_tar
from shared.domain.packages import PackageKind

_MIB = 1024 * 1024
_MAX_CONTROL_FILE_BYTES = _MIB
_REQUIRED = ("Package", "Version", "Architecture")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianLimits:
    """How far the two archives may expand."""

    control: ExpansionLimit = field(default_factory=lambda: ExpansionLimit(max_bytes=64 * _MIB))
    data: ExpansionLimit = field(default_factory=lambda: ExpansionLimit(max_bytes=16 * 1024 * _MIB))


def inspect_debian(source: ByteSource, limits: DebianLimits | None = None) -> Finding:
    """Check a package from end to end and read its control file.

    Raises:
        ArtifactRefused: ``corrupt``, ``truncated``, ``hostile_path``, ``compression_unsupported`` or
            ``decompression_bomb``.
    """
    limits = limits or DebianLimits()
    members = _known_members(source)
    _check_format(_take(members, "debian-binary"))
    control = _read_control(_take(members, "control.tar"), limits.control)
    _check_data(_take(members, "data.tar"), limits.data)
    for _ in members:
        pass  # deb(5): what follows the three is for the future and passed over.
    architecture = control["Architecture"]
    return Finding(
        kind=PackageKind.DEBIAN,
        name=control["Package"],
        version=control["Version"],
        compatibility={} if architecture == "all" else {"architecture": (architecture,)},
        depends=control.get("Depends", ""),
    )


def _known_members(source: ByteSource) -> Iterator[ArchiveMember]:
    """All members but those whose name begins with ``_``, which deb(5) says to pass over."""
    return (member for member in walk_archive(source) if not member.name.startswith("_"))


def _take(members: Iterator[ArchiveMember], stem: str) -> ArchiveMember:
    member = next(members, None)
    if member is None:
        raise refused(Refusal.TRUNCATED, f"the Debian package ends before its {stem}")
    if member.name != stem and not member.name.startswith(stem + "."):
        raise refused(Refusal.CORRUPT, f"the Debian package has {member.name!r} where {stem} belongs")
    return member


def _check_format(member: ArchiveMember) -> None:
    version = member.body.read(16)
    if not version.startswith(b"2."):
        raise refused(Refusal.CORRUPT, f"the Debian package is of format {version!r}, not 2")


def _walk(member: ArchiveMember, limit: ExpansionLimit) -> Iterator[TarMember]:
    suffix = member.name.partition(".tar")[2]
    guard = PathGuard(member.name)
    for entry in walk_tar(expand(member.body, suffix, limit, member.name), member.name):
        guard.check(entry)
        yield entry


def _check_data(member: ArchiveMember, limit: ExpansionLimit) -> None:
    for _ in _walk(member, limit):
        pass


def _read_control(member: ArchiveMember, limit: ExpansionLimit) -> Mapping[str, str]:
    text: str | None = None
    for entry in _walk(member, limit):
        if not entry.is_file and not entry.is_directory:
            raise refused(Refusal.HOSTILE_PATH, f"in {member.name}, member {entry.name!r} is no plain file")
        if entry.name.removeprefix("./") == "control":
            text = _read_text(entry)
    if text is None:
        raise refused(Refusal.CORRUPT, f"{member.name} holds no control file")
    control = _parse_control(text)
    for required in _REQUIRED:
        if not control.get(required):
            raise refused(Refusal.CORRUPT, f"the control file has no {required}")
    return control


def _read_text(entry: TarMember) -> str:
    bounded = _Bounded(entry.body, _MAX_CONTROL_FILE_BYTES)
    return read_all(bounded).decode("utf-8", errors="replace")


class _Bounded:
    def __init__(self, source: ByteSource, max_bytes: int) -> None:
        self._source, self._left = source, max_bytes

    def read(self, size_bytes: int) -> bytes:
        octets = self._source.read(size_bytes)
        self._left -= len(octets)
        if self._left < 0:
            raise refused(Refusal.DECOMPRESSION_BOMB, "the control file is larger than 1 MiB")
        return octets


def _parse_control(text: str) -> dict[str, str]:
    """The first paragraph's fields (Debian policy manual, section 5.1), continuation lines folded into one."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t":
            fields[name] = f"{fields.get(name, '')} {line.strip()}".strip()
            continue
        name, _, value = line.partition(":")
        name = name.strip().title() if name.islower() else name.strip()
        fields[name] = value.strip()
    return fields
