"""Saved groups, and lists of devices as blobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.domain.groups import Group, GroupName
from shared.ports.stored import Page, Stored


class GroupStore(Protocol):
    """Table ``groups``: one row per group, kept when the group is deleted."""

    def find(self, name: GroupName) -> Stored[Group] | None:
        """The row, a deleted group's too; None where there never was one."""

    def save(self, group: Stored[Group]) -> None:
        """Write the row if nobody else has since it was read; an empty etag means that it must be new.

        Raises:
            ConcurrentChange: Somebody has, or it is there already.
        """

    def list_page(self, *, size: int, continuation: str = "") -> Page[Group]:
        """Groups that are not deleted, in the order of their names."""


class TargetLists(Protocol):
    """Container ``target-lists``: blobs of device ids, one a line, written by operators."""

    def stream(self, name: str) -> Iterator[bytes]:
        """The bytes of one blob, in pieces of a few MiB.

        Raises:
            NotThere: No such blob.
            ConcurrentChange: Somebody wrote it while it was read.
        """
