"""Room on the disk: what is there, what a copy takes, and what an error says about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

RESERVE_BYTES = 4 << 20
"""Left free beside a slot's copy: for journal, index and what a package's unpacking takes beyond its archive."""


def check_space(folder: Path, needed_bytes: int) -> None:
    """Return if the file system of ``folder`` has that much room and the reserve.

    Raises:
        OSError: It has not (ENOSPC).
    """
    stat = os.statvfs(folder)
    free_bytes = stat.f_bavail * stat.f_frsize
    if free_bytes < needed_bytes + RESERVE_BYTES:
        told = f"{needed_bytes} bytes and {RESERVE_BYTES} in reserve are needed, {free_bytes} are free"
        raise OSError(errno.ENOSPC, told)


def measure_tree(top: Path) -> int:
    """Bytes on disk below a folder; files with several names count once."""
    blocks: dict[tuple[int, int], int] = {}
    for folder, _, files in os.walk(top):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            stat = path.lstat()
            blocks[stat.st_dev, stat.st_ino] = stat.st_blocks
    return 512 * sum(blocks.values())


def is_disk_full(error: OSError) -> bool:
    """Whether the error means that there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
