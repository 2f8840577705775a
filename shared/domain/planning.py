"""How far the planning of a campaign is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.hearsay import Hearsay


class PlanningPhase(StrEnum):
    """How far the planning of a campaign is."""

    LISTING = "listing"
    ORDERING = "ordering"
    CLAIMING = "claiming"
    FILTERING = "filtering"
    CUTTING = "cutting"
    MOVING = "moving"
    DONE = "done"


RECUTTING = frozenset({PlanningPhase.FILTERING, PlanningPhase.CUTTING, PlanningPhase.MOVING})
"""After an edit of its waves a campaign is cut anew whatever its state: until then, rows are not in their batches, or
about to leave them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """The cursor of planning, so that each page is taken up where the last one ended.

    Attributes:
        page: Listing: pages written so far, of all listings, see ``shared.domain.listings``.
        ends: Listing: for each finished listing, one past its last page.
        continuation: Listing: IoT Hub's token for the next page; empty at the beginning.
        listed: Targets found so far, repeats included.
        excluded: Targets left out because the operator excluded them.
        claimed_wave: Claiming, and moving rows after an edit of waves: the wave in hand, from 1.
        claimed_batches: Batches of that wave whose rows are written.
        manifest: Which edition of the manifest its waves are slices of; empty for the first.
        skipped: Targets left out because another campaign holds them.
        current: Targets left out because they run the version already.
        waiting: Targets that other campaigns held, and that are waited for.
        manifest_sha256: Digest over the ordered targets, see ``digest_devices``; empty until they are ordered.
        no_package: Targets left out because none of several packages is for them.
        by_variant: Of several packages: for each, how many targets it was chosen for.
        heard: Of targets that were named one by one: what was heard of them when they were claimed.
    """

    phase: PlanningPhase = PlanningPhase.LISTING
    page: int = 0
    ends: tuple[int, ...] = ()
    continuation: str = ""
    listed: int = 0
    excluded: int = 0
    claimed_wave: int = 1
    claimed_batches: int = 0
    manifest: str = ""
    skipped: int = 0
    current: int = 0
    waiting: int = 0
    manifest_sha256: str = ""
    no_package: int = 0
    by_variant: tuple[int, ...] = ()
    heard: Hearsay = field(default_factory=Hearsay)
