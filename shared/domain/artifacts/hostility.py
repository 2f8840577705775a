"""Members of an archive that would be written outside the folder it is unpacked into."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.artifacts.tarball import TarMember

_MAX_SYMLINKS = 100_000


class PathGuard:
    """Judges one archive member by member.

    Absolute symbolic links are common in Debian packages and harmless by themselves. What is refused is a member that
    is written through a link of the same archive, because an unpacker below a device root would follow it out.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._symlinks: set[str] = set()

    def check(self, member: TarMember) -> None:
        """Return if the member stays inside.

        Raises:
            ArtifactRefused: ``hostile_path``.
        """
        path = self._inside(member.name, f"member {member.name!r}")
        if member.is_hardlink:
            self._inside(member.link, f"hard link {member.name!r} to {member.link!r}")
        if member.is_symlink:
            self._check_symlink(member, path)

    def _check_symlink(self, member: TarMember, path: str) -> None:
        is_relative = not member.link.startswith("/")
        if is_relative and _climbs_out([*path.split("/")[:-1], *member.link.split("/")]):
            raise self._refusal(f"symbolic link {member.name!r} to {member.link!r} leaves the folder")
        if len(self._symlinks) >= _MAX_SYMLINKS:
            raise self._refusal(f"there are more than {_MAX_SYMLINKS} symbolic links")
        self._symlinks.add(path)

    def _inside(self, name: str, subject: str) -> str:
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name or not name:
            raise self._refusal(f"{subject} leaves the folder")
        path = posixpath.normpath(name)
        self._check_parents(path, subject)
        return path

    def _check_parents(self, path: str, subject: str) -> None:
        parent = posixpath.dirname(path)
        while parent:
            if parent in self._symlinks:
                raise self._refusal(f"{subject} goes through the symbolic link {parent!r} of the same archive")
            parent = posixpath.dirname(parent)

    def _refusal(self, reason: str) -> Exception:
        return refused(Refusal.HOSTILE_PATH, f"in {self._what}, {reason}")


def _climbs_out(parts: Sequence[str]) -> bool:
    depth = 0
    for part in parts:
        if part in ("", "."):
            continue
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
