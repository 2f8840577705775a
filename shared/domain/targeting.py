"""Who of a campaign's targets is left out, who comes first, and where the targets were taken from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

RELIST_S = 900.0
"""A thousand devices are ten queries, and IoT Hub S1 allows 20 a minute and unit (quotas and throttling)."""

FIXED_START = 0
"""The position from which campaigns with fixed canaries read the ring."""


class Membership(StrEnum):
    """Whether who begins to match a campaign's query later becomes part of it.

    Attributes:
        SNAPSHOT: The targets are those found when it is planned.
        DYNAMIC: Others join its last wave, which stays open for them.
    """

    SNAPSHOT = "snapshot"
    DYNAMIC = "dynamic"


class Canaries(StrEnum):
    """Which devices come first where waves are cut by number or share.

    Attributes:
        ROTATING: Others in each campaign, so that no device bears every first try.
        FIXED: The same in each campaign that has them among its targets.
    """

    ROTATING = "rotating"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Who edited the waves last, signed with them.

    Attributes:
        number: Rises with each edit; 0 while they are as they were posted.
        at: Aware UTC; None before the first edit.
    """

    number: int = 0
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Targeting:
    """What the operator said about the targets beyond naming them; the defaults leave nobody out.

    Attributes:
        excluded: How many devices were left out by their ids, repeats removed, those of lists among them; the ids lie
            in the manifest store.
        excluded_sha256: Digest over those ids, see ``digest_devices``; empty where there are none.
        excluded_query: IoT Hub query that finds further devices to leave out; empty for none.
        excluded_group: The saved group that is left out, as it was when the campaign was posted; empty for none.
        excluded_group_query: What that group meant then; empty where it was a list.
        excluded_lists: The blobs whose ids were copied then, the group's among them.
        group: The saved group whose meaning was copied when the campaign was posted; empty for none.
        list_name: The blob whose ids were copied then; empty for none.
        relist_s: How long after one look for newcomers the next one begins, in seconds.
    """

    excluded: int = 0
    excluded_sha256: str = ""
    excluded_query: str = ""
    excluded_group: str = ""
    excluded_group_query: str = ""
    excluded_lists: tuple[str, ...] = ()
    group: str = ""
    list_name: str = ""
    canaries: Canaries = Canaries.ROTATING
    membership: Membership = Membership.SNAPSHOT
    relist_s: float = RELIST_S
    revision: Revision = field(default_factory=Revision)

    @property
    def excluded_queries(self) -> tuple[str, ...]:
        """The queries that find devices to leave out."""
        return tuple(query for query in (self.excluded_query, self.excluded_group_query) if query)
