"""Saved groups and lists of devices in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from shared.domain.groups import Group, GroupName
from shared.ports.errors import ConcurrentChange, NotThere
from shared.ports.stored import Page, Stored

CHUNK_BYTES = 1_000


class MemoryGroups:
    """A ``GroupStore``."""

    def __init__(self) -> None:
        self._rows: dict[GroupName, Stored[Group]] = {}
        self._etags = count(1)

    def find(self, name: GroupName) -> Stored[Group] | None:
        return self._rows.get(name)

    def save(self, group: Stored[Group]) -> None:
        row = self._rows.get(group.value.name)
        if (row.etag if row else "") != group.etag:
            raise ConcurrentChange(group.value.name)
        self._rows[group.value.name] = Stored(value=group.value, etag=str(next(self._etags)))

    def list_page(self, *, size: int, continuation: str = "") -> Page[Group]:
        names = [name for name, row in sorted(self._rows.items()) if name > continuation and not row.value.is_deleted]
        items = tuple(self._rows[name].value for name in names[:size])
        return Page(items=items, continuation=items[-1].name if len(names) > size else "")


class MemoryTargetLists:
    """A ``TargetLists``.

    Attributes:
        blobs: Name to content.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def stream(self, name: str) -> Iterator[bytes]:
        if name not in self.blobs:
            raise NotThere(name)
        content = self.blobs[name]
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]
