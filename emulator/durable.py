"""What the cloud's parts hold, kept in one file as they go, so that it outlives the process however that ends.

At short intervals, what has changed since the last time is written in one SQLite transaction over all parts: a death
in the middle of it leaves what was written before. What a part holds is found changed by comparing, so that parts need
not tell of what they do.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("cloud")

INTERVAL_S = 0.5
"""What a death loses at the most, while writing takes less than a tenth of it."""

_SHARE = 0.1
"""Of the time that writing may take: where it takes longer, it happens less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that a part holds.

    Attributes:
        key: unique in its part.
        mark: compares equal as long as nothing has changed; never changed itself.
        write: its JSON document.
    """

    key: str
    mark: Any
    write: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the cloud with something to keep.

    Attributes:
        held: all that it holds now.
        restore: takes back the documents of what it held, by key, in no order.
    """

    name: str
    held: Callable[[], Iterable[Entry]]
    restore: Callable[[Mapping[str, Any]], None]


class StateFile:
    """The file, and what is known to be in it.

    Args:
        path: readable by this user only; it holds device keys.

    Raises:
        RuntimeError: it cannot be read; it is named.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[Part] = []
        self._marks: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        # Nobody else writes it; whoever does all the same is not waited for in the loop that everything runs in.
        self._database = sqlite3.connect(path, timeout=0)
        with self._naming():
            self._database.execute("PRAGMA journal_mode=WAL")
            # Whatever kills the process, what was committed is the kernel's to write; only a machine may lose the last.
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS held (part TEXT, key TEXT, document TEXT, PRIMARY KEY (part, key)) "
                "WITHOUT ROWID"
            )

    def add(self, part: Part) -> None:
        """Give a part back what it held, and keep what it holds from now on.

        Raises:
            RuntimeError: the part cannot use it; the file is named.
        """
        with self._naming():
            rows = self._database.execute("SELECT key, document FROM held WHERE part = ?", (part.name,)).fetchall()
            documents = {key: json.loads(document) for key, document in rows}
            if documents:
                part.restore(documents)
                log.info("read %d of %s", len(documents), part.name)
        self._parts.append(part)
        # What was read and is held no more is found among these; marks of no entry, so that all is written once.
        self._marks[part.name] = dict.fromkeys(documents)

    def write(self) -> int:
        """Bring the file up to the present; how many entries were written or taken away."""
        written, after = 0, dict[str, dict[str, Any]]()
        with self._database:
            for part in self._parts:
                after[part.name] = marks = dict[str, Any]()
                written += self._write_part(part, marks)
        # Only now is it certain that the file says so.
        self._marks |= after
        return written

    def _write_part(self, part: Part, marks: dict[str, Any]) -> int:
        before, changed = self._marks[part.name], list[tuple[str, str, str]]()
        for entry in part.held():
            if entry.key not in before or before[entry.key] != entry.mark:
                document = json.dumps(entry.write(), separators=(",", ":"))
                changed.append((part.name, entry.key, document))
            marks[entry.key] = entry.mark
        gone = [(part.name, key) for key in before.keys() - marks.keys()]
        self._database.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", changed)
        self._database.executemany("DELETE FROM held WHERE part = ? AND key = ?", gone)
        return len(changed) + len(gone)

    async def run(self) -> None:
        """Write for ever, in this loop, between whose steps all parts are of one moment."""
        while True:
            begun = time.perf_counter()
            try:
                self.write()
            except Exception as error:
                # A full disk, say: what could not be written is found changed once more the next time.
                log.warning("%s cannot be written: %r", self._path, error)
            took_s = time.perf_counter() - begun
            await asyncio.sleep(max(INTERVAL_S, took_s / _SHARE))

    def close(self) -> None:
        """Write once more, and let go of the file, also where the disk takes nothing."""
        with closing(self._database):
            self.write()

    def _naming(self) -> "_Naming":
        return _Naming(self._path)


class _Naming:
    """Says which file it is that cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.DatabaseError | ValueError | KeyError | TypeError | LookupError):
            raise RuntimeError(f"{self._path} cannot be used ({error!r}); remove it to start without it") from error
