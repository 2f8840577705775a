"""A content that arrives in pieces, perhaps over several lives of the process."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from agent.install.durable import sync_file, sync_folder, write_durably


class PartialFile:
    """``<sha256>.part`` until complete, then ``<sha256>``; beside it the ETag of what it is a part of."""

    def __init__(self, folder: Path, sha256: str) -> None:
        self._sha256 = sha256
        self._part = folder / f"{sha256}.part"
        self._etag = folder / f"{sha256}.etag"
        self.complete = folder / sha256

    @property
    def size_bytes(self) -> int:
        """How much is there."""
        return self._part.stat().st_size if self._part.exists() else 0

    @property
    def etag(self) -> str:
        """Of the representation the part was taken from; empty where there is none, and nothing to go on from."""
        return self._etag.read_text() if self._etag.exists() else ""

    def start(self, etag: str) -> None:
        """Begin anew, for the representation with that ETag."""
        self._part.unlink(missing_ok=True)
        write_durably(self._etag, etag.encode())

    def open(self) -> IO[bytes]:
        """The part, to append to."""
        return self._part.open("ab")

    def finish(self) -> bool:
        """Make it the complete content if its digest is right; else discard it and say False."""
        if not self._part.exists() or digest_of(self._part) != self._sha256:
            self.discard()
            return False
        sync_file(self._part)
        self._part.replace(self.complete)
        sync_folder(self.complete.parent)
        return True

    def discard(self) -> None:
        """Forget what is there."""
        for path in (self._part, self._etag, self.complete):
            path.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """Lower-case hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
