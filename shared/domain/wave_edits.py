"""Operators change the waves that have not begun while the campaign is paused.

What is edited is the tail of the waves, all that are still pending: their devices are cut anew, into more waves or into
fewer. Filters that none of them has must be listed first; until that is done the waves stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.campaign_specs import digest_devices
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import DeviceId
from shared.domain.listings import ring_start_of, sort_on_ring
from shared.domain.pending_edits import PendingEdit, conditions_of
from shared.domain.planning import PlanningPhase
from shared.domain.starting import go_on
from shared.domain.steps_by_operators import name_fitting
from shared.domain.targeting import Revision
from shared.domain.waves import Matching, Wave, WaveSpec, WaveState, assign_waves, slice_waves


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
        Conflict: It is not paused, it is still being planned or walked through, or no wave is pending. Where waiting
            does not help, the message names the actions that fit.
    """
    if campaign.state is not CampaignState.PAUSED:
        why = f"it is {campaign.state}, and waves are edited while it is paused; {name_fitting(campaign)}"
    elif campaign.planning.phase is not PlanningPhase.DONE:
        why = f"its planning is not done ({campaign.planning.phase}); try again in a moment"
    elif campaign.walk_in_hand is not None:
        why = "what was asked last is still at work in its batches; try again in a moment"
    elif campaign.newcomers.page is not None:
        why = "devices are joining it; try again in a minute"
    elif not pending_tail(campaign):
        why = f"all its waves have begun; {name_fitting(campaign)}"
    else:
        return
    raise Conflict(f"the waves of {campaign.id} cannot be edited: {why}", code="action_does_not_fit")


def is_asked_for(campaign: Campaign, tail: Sequence[WaveSpec]) -> bool:
    """Whether the pending waves are these already, or shall be once their filters are listed."""
    asked = campaign.wave_edit.waves if campaign.wave_edit else tuple(wave.spec for wave in pending_tail(campaign))
    return bool(campaign.waves) and tuple(tail) == asked


def begin_listing(
    campaign: Campaign, tail: Sequence[WaveSpec], *, who: str, page: int, now: datetime
) -> Campaign | None:
    """The campaign with the filters to list that no pending wave has; None where there are none.

    Args:
        page: Number of the first page of their listings.

    Raises:
        DomainError: The waves would leave devices over if nobody met those filters.
    """
    pending = pending_tail(campaign)
    known = conditions_of(tuple(wave.spec for wave in pending))
    new = tuple(condition for condition in conditions_of(tuple(tail)) if condition not in known)
    if not new:
        return None
    slice_waves(sum(wave.devices for wave in pending), tail, shared=campaign.targets - _taken_by_begun(campaign))
    edit = PendingEdit(waves=tuple(tail), conditions=new, by=who, at=now, first_page=page, page=page)
    planning = replace(campaign.planning, phase=PlanningPhase.FILTERING)
    return replace(campaign, wave_edit=edit, planning=planning)


def note_filter_page(edit: PendingEdit, continuation: str) -> PendingEdit:
    """The edit after one page of the filter in hand."""
    page = edit.page + 1
    ends = edit.ends if continuation else (*edit.ends, page)
    return replace(edit, page=page, ends=ends, continuation=continuation)


def drop_edit(campaign: Campaign, why: str, *, now: datetime) -> Campaign:
    """The campaign with its waves as they were, and the sentence that says why; resumed meanwhile, it goes on."""
    kept = replace(campaign, wave_edit=None, planning=replace(campaign.planning, phase=PlanningPhase.DONE))
    reason = f"its waves stay as they were: {why}"
    match kept.state:
        case CampaignState.PLANNING:
            return go_on(kept, now=now, reason=reason)
        case CampaignState.PAUSED:
            return replace(kept, reason=f"{kept.reason}; {reason}")
        case _:
            return kept


def recut(
    campaign: Campaign,
    tail: Sequence[WaveSpec],
    manifest: Sequence[DeviceId],
    found: Mapping[str, Set[DeviceId]] | None = None,
) -> Recut:
    """The pending waves cut anew as ``tail`` says; shares are of all targets that no condition takes.

    Args:
        found: Condition that no pending wave has to the devices that meet it.

    Raises:
        DomainError: The waves leave devices over, or no device is left for one of the conditions.
    """
    pending = pending_tail(campaign)
    begun = campaign.waves[: len(campaign.waves) - len(pending)]
    members = manifest[pending[0].start :]
    conditions = {
        wave.spec.size.condition: set(manifest[wave.start : wave.stop])
        for wave in pending
        if isinstance(wave.spec.size, Matching)
    } | dict(found or {})
    matching = {
        place: conditions[wave.size.condition]
        for place, wave in enumerate(tail, start=1)
        if isinstance(wave.size, Matching)
    }
    taken = _taken_by_begun(campaign) + len(set(members).intersection(set().union(*matching.values())))
    devices = sort_on_ring(members, ring_start_of(campaign))
    cut, waves = assign_waves(devices, tail, matching, shared=campaign.targets - taken, behind=len(begun))
    offset = pending[0].start
    moved = tuple(
        replace(wave, number=wave.number + len(begun), start=wave.start + offset, stop=wave.stop + offset)
        for wave in waves
    )
    return Recut(manifest=[*manifest[:offset], *cut], waves=(*begun, *moved), first=len(begun) + 1)


def _taken_by_begun(campaign: Campaign) -> int:
    """How many devices the filters of waves took that have begun."""
    begun = campaign.waves[: len(campaign.waves) - len(pending_tail(campaign))]
    return sum(wave.devices for wave in begun if isinstance(wave.spec.size, Matching))


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
    return replace(campaign, spec=spec, waves=cut.waves, planning=planning, wave_edit=None)
