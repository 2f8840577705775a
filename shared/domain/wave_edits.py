"""Operators change the waves that have not begun while the campaign is paused.

What is edited is the tail of the waves, all that are still pending: their devices are cut anew. Waves never become
fewer; a wave that is not wanted is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState, PlanningPhase, digest_devices
from shared.domain.errors import Conflict, DomainError
from shared.domain.ids import DeviceId
from shared.domain.listings import ring_start_of, sort_on_ring
from shared.domain.targeting import Revision
from shared.domain.waves import Matching, Wave, WaveSpec, WaveState, assign_waves


@dataclass(frozen=True, slots=True, kw_only=True)
class Recut:
    """The waves cut anew.

    Attributes:
        manifest: All targets, wave after wave.
        waves: All waves, those that have begun as they were.
        first: Number of the first wave that was edited.
    """

    manifest: list[DeviceId]
    waves: tuple[Wave, ...]
    first: int


def pending_tail(campaign: Campaign) -> tuple[Wave, ...]:
    """The waves at the end that have not begun."""
    begun = max((wave.number for wave in campaign.waves if wave.state is not WaveState.PENDING), default=0)
    return campaign.waves[begun:]


def check_editable(campaign: Campaign) -> None:
    """Return if the campaign's waves may be edited now.

    Raises:
        Conflict: It is not paused, it is still being planned or walked through, or no wave is pending.
    """
    if campaign.state is not CampaignState.PAUSED:
        why = f"it is {campaign.state}, and waves are edited while it is paused"
    elif campaign.planning.phase is not PlanningPhase.DONE:
        why = f"its planning is not done ({campaign.planning.phase}); try again in a moment"
    elif campaign.walk_in_hand is not None:
        why = "what was asked last is still at work in its batches; try again in a moment"
    elif campaign.newcomers.page is not None:
        why = "devices are joining it; try again in a minute"
    elif not pending_tail(campaign):
        why = "all its waves have begun"
    else:
        return
    raise Conflict(f"the waves of {campaign.id} cannot be edited: {why}", code="action_does_not_fit")


def recut(campaign: Campaign, tail: Sequence[WaveSpec], manifest: Sequence[DeviceId]) -> Recut:
    """The pending waves cut anew as ``tail`` says; shares are of all targets that no condition takes.

    Raises:
        DomainError: The waves become fewer, leave devices over, or name a condition that no pending wave has.
    """
    pending = pending_tail(campaign)
    begun = campaign.waves[: len(campaign.waves) - len(pending)]
    _check_tail(pending, tail)
    members = manifest[pending[0].start :]
    conditions = {
        wave.spec.size.condition: set(manifest[wave.start : wave.stop])
        for wave in pending
        if isinstance(wave.spec.size, Matching)
    }
    matching = {
        place: conditions[wave.size.condition]
        for place, wave in enumerate(tail, start=1)
        if isinstance(wave.size, Matching)
    }
    taken = sum(wave.devices for wave in begun if isinstance(wave.spec.size, Matching)) + sum(
        map(len, matching.values())
    )
    devices = sort_on_ring(members, ring_start_of(campaign))
    cut, waves = assign_waves(devices, tail, matching, shared=campaign.targets - taken)
    offset = pending[0].start
    moved = tuple(
        replace(wave, number=wave.number + len(begun), start=wave.start + offset, stop=wave.stop + offset)
        for wave in waves
    )
    return Recut(manifest=[*manifest[:offset], *cut], waves=(*begun, *moved), first=len(begun) + 1)


def edition_of(cut: Recut) -> str:
    """What its manifest is kept under: named after its content, so that no edit writes over another's."""
    return digest_devices(cut.manifest)[:16]


def apply_recut(campaign: Campaign, cut: Recut, *, who: str, now: datetime) -> Campaign:
    """The campaign with the new waves, whose batches are yet to be cut and whose rows are yet to be moved."""
    targeting = campaign.spec.targeting
    revision = Revision(number=targeting.revision.number + 1, by=who, at=now)
    spec = replace(
        campaign.spec,
        waves=tuple(wave.spec for wave in cut.waves),
        targeting=replace(targeting, revision=revision),
    )
    planning = replace(
        campaign.planning,
        phase=PlanningPhase.CUTTING,
        manifest=edition_of(cut),
        manifest_sha256=digest_devices(cut.manifest),
        claimed_wave=cut.first,
        claimed_batches=0,
    )
    return replace(campaign, spec=spec, waves=cut.waves, planning=planning)


def _check_tail(pending: Sequence[Wave], tail: Sequence[WaveSpec]) -> None:
    if len(tail) < len(pending):
        raise DomainError(
            f"waves: {len(pending)} waves are still pending and cannot become fewer; skip those that are not wanted",
            code="invalid_request",
        )
    known = {wave.spec.size for wave in pending if isinstance(wave.spec.size, Matching)}
    for place, wave in enumerate(tail):
        if isinstance(wave.size, Matching) and wave.size not in known:
            raise DomainError(
                f"waves.{place}.filter: no pending wave has it; the filters of a planned campaign can only be kept",
                code="invalid_request",
            )
