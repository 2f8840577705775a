"""Recognising an artifact by its first bytes, whatever its name says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.domain.artifacts import archive, mcuboot, uimage
from shared.domain.artifacts.debian import inspect_debian
from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.mcuboot import inspect_mcuboot
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.source import DigestingSource
from shared.domain.artifacts.uimage import inspect_uimage

_LONGEST_MAGIC = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A whole artifact, read once.

    Attributes:
        sha256: Lower-case hex.
    """

    finding: Finding
    length_bytes: int
    sha256: str


def inspect(chunks: Iterable[bytes]) -> Inspection:
    """Read an artifact to its end, digest it and look into it, with constant memory.

    Raises:
        ArtifactRefused: It is nothing that can be installed, or it is not whole.
    """
    source = DigestingSource(chunks)
    finding = _find(source)
    sha256 = source.finish()
    return Inspection(finding=finding, length_bytes=source.length_bytes, sha256=sha256)


def _find(source: DigestingSource) -> Finding:
    head = source.peek(_LONGEST_MAGIC)
    if not head:
        raise refused(Refusal.EMPTY, "the artifact has no bytes")
    if head.startswith(mcuboot.MAGIC):
        return inspect_mcuboot(source)
    if head.startswith(uimage.MAGIC):
        return inspect_uimage(source)
    if head.startswith(archive.MAGIC):
        return inspect_debian(source)
    raise refused(Refusal.UNKNOWN_KIND, f"it begins with {head.hex(' ')}, which is no kind of package known here")
