"""``python -m agent.selftest``: a health command for demonstrations, looking into the slot for a telltale.

Ends with 1 if the image or a file below the root of ``GROUNDSWELL_SLOT`` contains ``groundswell-selftest: fail``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

TELLTALE = b"groundswell-selftest: fail"
_PIECE_BYTES = 1 << 20


class TelltaleFinder:
    """Looks for the telltale in a stream of pieces, across their edges."""

    def __init__(self) -> None:
        self._edge = b""
        self.is_found = False

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        seen = self._edge + piece
        self.is_found = self.is_found or TELLTALE in seen
        self._edge = seen[-len(TELLTALE) + 1 :]


def find_telltale(path: Path) -> bool:
    """Whether a file holds the telltale."""
    finder = TelltaleFinder()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            finder.feed(piece)
    return finder.is_found


def main() -> int:
    """The exit status: 0 for healthy."""
    slot = Path(os.environ["GROUNDSWELL_SLOT"])
    bad = [path for path in _files(slot) if find_telltale(path)]
    for path in bad:
        sys.stderr.write(f"self-test failed: {path.relative_to(slot)} says so\n")
    return 1 if bad else 0


def _files(slot: Path) -> Iterator[Path]:
    candidates = (slot / "image", *sorted((slot / "root").rglob("*")))
    return (path for path in candidates if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    sys.exit(main())
