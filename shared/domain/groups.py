"""Saved groups: a name for a query, or for a list of devices, that campaigns may use again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType

from shared.domain.errors import InvalidId
from shared.domain.ids import CampaignId

GroupName = NewType("GroupName", str)

GROUP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One row of the ``groups`` table.

    Attributes:
        query: IoT Hub query that finds its devices; empty for a list.
        list_name: Blob of ids in the container ``target-lists``; empty for a query.
        number: Rises with each change, a deletion included.
        is_deleted: Whether it is only kept so that its numbers go on rising.
    """

    name: GroupName
    query: str = ""
    list_name: str = ""
    number: int = 0
    changed_by: str
    changed_at: datetime
    is_deleted: bool = False

    @property
    def means(self) -> tuple[str, str]:
        """Query and list, of which one is empty; both are where it is deleted."""
        return ("", "") if self.is_deleted else (self.query, self.list_name)


def group_name(text: str) -> GroupName:
    """The text as the name of a group.

    Raises:
        InvalidId: It is not 1-50 lower-case letters, digits and hyphens.
    """
    if not GROUP_NAME.fullmatch(text):
        raise InvalidId(f"{text[:60]!r} is not a group's name: use 1-50 lower-case letters, digits and hyphens")
    return GroupName(text)


def redefine(before: Group, *, query: str, list_name: str, who: str, now: datetime) -> Group:
    """The group meaning this; the same group where it does already."""
    if before.means == (query, list_name):
        return before
    return replace(
        before,
        query=query,
        list_name=list_name,
        number=before.number + 1,
        changed_by=who,
        changed_at=now,
        is_deleted=False,
    )


def delete(before: Group, *, who: str, now: datetime) -> Group:
    """The group deleted; the same group where it is already."""
    if before.is_deleted:
        return before
    return replace(before, number=before.number + 1, changed_by=who, changed_at=now, is_deleted=True)


def chain_of(name: GroupName) -> CampaignId:
    """Under which name the audit log keeps what was done to a group."""
    return CampaignId(f"group-{name}")
