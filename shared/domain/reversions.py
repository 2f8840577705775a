"""The order to revert a campaign, and how far that is; the rules are in ``shared.domain.reverting``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import CampaignId


class ReversionPhase(StrEnum):
    """How far a campaign that is being reverted is."""

    COLLECTING = "collecting"
    STARTING = "starting"
    WATCHING = "watching"


class Wish(StrEnum):
    """What the campaigns that bring the former versions back are to do with the one that started them."""

    GO_ON = "go_on"
    PAUSE = "pause"
    CANCEL = "cancel"
    FORCE_CANCEL = "force-cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversion:
    """The order to revert a campaign, and how far that is.

    Attributes:
        number: Which order it is; a campaign whose reverting was cancelled may be reverted again.
        ordered_by: Label of who ordered it, or the gate; empty in rows from before this was kept.
        wave: Collecting: the wave in hand, from 1.
        batches: Collecting: batches of that wave that were looked into.
        pages: Former version, see ``shared.domain.reverting.read_former``, to the pages of devices that ran it.
        devices: Former version to how many ran it.
        digests: Former version to the digest over these devices, see ``digest_devices``; empty until all are known.
        left_open: Devices that had not ended when it went on without them.
        moved_on: Devices that took a package and were given another version since.
        impossible: Former version that cannot be had to why.
        children: The campaigns that bring the former versions back.
        wish: What these are to do.
        is_told: Whether all of them have been told.
        ordered_at: When it was ordered; an order is good for some days only.
        signature: The service's own over the order to revert, see ``shared.handlers.spec_desk``.
    """

    number: int = 1
    ordered_by: str = ""
    phase: ReversionPhase = ReversionPhase.COLLECTING
    wave: int = 1
    batches: int = 0
    pages: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    left_open: int = 0
    moved_on: int = 0
    impossible: Mapping[str, str] = field(default_factory=dict)
    children: tuple[CampaignId, ...] = ()
    wish: Wish = Wish.GO_ON
    is_told: bool = True
    ordered_at: datetime | None = None
    signature: str = ""
