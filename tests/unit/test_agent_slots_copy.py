"""The inactive slot begins as a faithful copy of the active one, and one agent at a time fills it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent.alone import only_agent
from agent.config import ConfigInvalid
from agent.install.slots import FolderSlots


@pytest.fixture
def slots(tmp_path: Path) -> FolderSlots:
    made = FolderSlots(top=tmp_path / "slots")
    made.prepare({})
    return made


def test_links_pipes_and_modes_survive_the_copy(slots: FolderSlots) -> None:
    root = slots.folder("a") / "root"
    (root / "tool").write_text("tool")
    (root / "tool").chmod(0o750)
    (root / "twin").hardlink_to(root / "tool")
    (root / "pointer").symlink_to("/etc/nowhere")
    os.mkfifo(root / "pipe")

    copy = slots.folder(slots.copy_active()) / "root"

    assert stat.S_IMODE((copy / "tool").stat().st_mode) == 0o750
    assert (copy / "twin").samefile(copy / "tool")
    assert (copy / "pointer").readlink() == Path("/etc/nowhere")
    assert stat.S_ISFIFO((copy / "pipe").stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and make device nodes")
def test_owners_setuid_bits_and_device_nodes_survive_the_copy(slots: FolderSlots) -> None:
    root = slots.folder("a") / "root"
    (root / "su").write_text("su")
    os.chown(root / "su", 33, 33)
    (root / "su").chmod(0o4755)
    os.mknod(root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))

    copy = slots.folder(slots.copy_active()) / "root"

    copied = (copy / "su").stat()
    assert (copied.st_uid, stat.S_IMODE(copied.st_mode)) == (33, 0o4755)
    assert stat.S_ISCHR((copy / "zero").stat().st_mode)


def test_a_second_agent_in_the_same_folder_is_refused_and_the_lock_ends_with_the_first(tmp_path: Path) -> None:
    with only_agent(tmp_path), pytest.raises(ConfigInvalid, match="another agent is running"), only_agent(tmp_path):
        pass
    with only_agent(tmp_path):
        pass
