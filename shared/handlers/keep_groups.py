"""Operators save groups, look at them and delete them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.errors import NotFound
from shared.domain.groups import Group, GroupName, chain_of, delete, redefine
from shared.handlers.contention import until_written
from shared.ports.campaigns import AuditLog
from shared.ports.stored import Stored
from shared.ports.targets import GroupStore


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPorts:
    """What keeping groups needs from outside."""

    groups: GroupStore
    audit: AuditLog


def put_group(name: GroupName, ports: GroupPorts, *, query: str, list_name: str, who: str, now: datetime) -> Group:
    """The group, meaning this from now on; campaigns that were posted keep what it meant then.

    Raises:
        PortError: It may be written already; putting it again is safe.
    """
    return _change(name, lambda row: redefine(row, query=query, list_name=list_name, who=who, now=now), ports, who, now)


def delete_group(name: GroupName, ports: GroupPorts, *, who: str, now: datetime) -> None:
    """Delete the group; deleting it twice changes nothing.

    Raises:
        NotFound: There never was one.
        PortError: It may be deleted already; deleting it again is safe.
    """
    if ports.groups.find(name) is None:
        raise _unknown(name)
    _change(name, lambda row: delete(row, who=who, now=now), ports, who, now)


def get_group(name: GroupName, groups: GroupStore) -> Group:
    """The group.

    Raises:
        NotFound: There is none of that name.
    """
    if (found := groups.find(name)) is None or found.value.is_deleted:
        raise _unknown(name)
    return found.value


def _change(name: GroupName, decide: Callable[[Group], Group], ports: GroupPorts, who: str, now: datetime) -> Group:
    def attempt() -> Group:
        before = ports.groups.find(name) or _nothing(name, who, now)
        after = decide(before.value)
        if after != before.value:
            # An audit entry without its change is harmless; a change that nobody answers for is not.
            ports.audit.append(_entry(before.value, after, who, now))
            ports.groups.save(Stored(value=after, etag=before.etag))
        return after

    return until_written(attempt, what=f"group {name}")


def _nothing(name: GroupName, who: str, now: datetime) -> Stored[Group]:
    return Stored(value=Group(name=name, changed_by=who, changed_at=now, is_deleted=True), etag="")


def _unknown(name: GroupName) -> NotFound:
    return NotFound(f"there is no group {name}; GET /groups lists them all", code="group_not_found")


def _entry(before: Group, after: Group, who: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=chain_of(after.name),
        step=after.number,
        at=now,
        who=who,
        what="delete-group" if after.is_deleted else "put-group",
        before=_word(before),
        after=_word(after),
        detail="".join(after.means),
    )


def _word(group: Group) -> str:
    if group.is_deleted:
        return "absent"
    return "query" if group.query else "list"
