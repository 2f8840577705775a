"""The A/B slots as folders, and ``active``, a symbolic link to the one the device runs from.

``<folder>/active -> a``, ``<folder>/a/{root/, image, image.json, installed.json}``, the same in ``b``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import sync_folder, sync_tree, write_durably
from agent.install.space import check_space, measure_tree

SLOTS = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSlots:
    """Slots below one folder. Implements ``agent.ports.Slots``."""

    top: Path

    def prepare(self, installed: Mapping[str, str]) -> None:
        """Lay out a new device's slots, running from ``a`` with ``installed``; nothing where they are laid out."""
        if self.is_laid_out():
            return
        for slot in SLOTS:
            (self.top / slot / "root").mkdir(parents=True, exist_ok=True)
            self.seal(slot, installed if slot == SLOTS[0] else {})
        self.activate(SLOTS[0])

    def is_laid_out(self) -> bool:
        """Whether the device has its slots."""
        return (self.top / "active").is_symlink()

    def active(self) -> str:
        """Name of the slot the device runs from."""
        name = (self.top / "active").readlink().name
        if name not in SLOTS:
            raise ValueError(f"{self.top / 'active'} points to {name!r}, which is no slot")
        return name

    def inactive(self) -> str:
        """Name of the other one."""
        return SLOTS[1 - SLOTS.index(self.active())]

    def folder(self, slot: str) -> Path:
        """The folder of a slot."""
        return self.top / slot

    def installed(self, slot: str) -> Mapping[str, str]:
        """Package name to version in a slot."""
        return {str(name): str(version) for name, version in json.loads(self._list(slot).read_bytes()).items()}

    def copy_active(self, *, room_bytes: int = 0) -> str:
        """Make the inactive slot a copy of the active one, with that much room left to install into; its name.

        Raises:
            OSError: There is no room (ENOSPC), or the copy failed.
        """
        source, target = self.folder(self.active()), self.folder(self.inactive())
        self.discard_inactive()
        check_space(self.top, measure_tree(source / "root") + room_bytes)
        target.mkdir()
        if (source / "root").is_dir():
            _copy_tree(source / "root", target / "root")
        for name in ("image", "image.json", "installed.json"):
            # A link will do, because these files are replaced, never written into.
            if (source / name).exists():
                os.link(source / name, target / name)
        return target.name

    def discard_inactive(self) -> None:
        """Remove what the inactive slot holds."""
        target = self.folder(self.inactive())
        if target.exists():
            shutil.rmtree(target)

    def seal(self, slot: str, installed: Mapping[str, str]) -> None:
        """Write what is installed in a slot and bring all of it to the disk."""
        write_durably(self._list(slot), json.dumps(installed, indent=1, sort_keys=True).encode() + b"\n")
        sync_tree(self.folder(slot))
        sync_folder(self.top)

    def activate(self, slot: str) -> None:
        """Run from that slot from the next restart on: a rename, so never neither and never both."""
        scratch = self.top / "active.new"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(slot)
        scratch.replace(self.top / "active")
        sync_folder(self.top)

    def _list(self, slot: str) -> Path:
        return self.folder(slot) / "installed.json"


def _copy_tree(source: Path, target: Path) -> None:
    """Copy with owners, hard links, device nodes and all: what Python's own copy loses, a root file system needs.

    Raises:
        OSError: It failed; with the tail of what ``cp`` said.
    """
    done = subprocess.run(["cp", "-a", str(source), str(target)], check=False, capture_output=True)
    if done.returncode != 0:
        raise OSError(errno.EIO, done.stderr.decode(errors="replace").strip()[-300:])
