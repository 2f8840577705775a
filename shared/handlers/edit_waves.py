"""An operator edits the pending waves of a paused campaign; its steps then move the rollout rows.

Everything before the write of the campaign's row is harmless should the process die: the new manifest has a name of its
own, and the audit entry tells of what was asked. Afterwards planning goes on from its cursor: batches are cut from that
manifest, and rows are moved to the wave and batch they belong to by now, which a repeat finds done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import batched

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign, CampaignState, PlanningPhase
from shared.domain.errors import Conflict, DomainError
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import Rollout
from shared.domain.starting import go_on
from shared.domain.steps import Change
from shared.domain.wave_edits import apply_recut, check_editable, edition_of, pending_tail, recut
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import get_stored_campaign, keep_step
from shared.handlers.plan_campaign import CLAIM_BATCHES, cut_wave
from shared.ports.rollouts import MAX_MOVED, RolloutChange, RolloutStore
from shared.ports.stored import Stored
from shared.trust.specs import SpecUntrusted
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_wave_edits import WavesRequest
from shared.wire.http_waves import MAX_WAVES


def edit_waves(
    campaign: CampaignId, request: WavesRequest, ports: CampaignPorts, *, who: str, now: datetime
) -> Campaign:
    """The campaign with its pending waves as asked; asking for what they are already changes nothing.

    Raises:
        NotFound: No such campaign.
        Conflict: Its waves cannot be edited now, or it is not what was signed.
        InvalidRequest: The waves leave devices over, become fewer, or name a new filter.
        PortError: The key that signs specifications cannot be used now, or a store is down; nothing was changed.
    """
    return until_written(lambda: _try_to_edit(campaign, request, ports, who, now), what=campaign)


def _try_to_edit(
    campaign: CampaignId, request: WavesRequest, ports: CampaignPorts, who: str, now: datetime
) -> Campaign:
    stored = get_stored_campaign(ports.campaigns, campaign)
    before = stored.value
    pending = pending_tail(before)
    tail = request.to_waves([wave.spec for wave in pending], begun=len(before.waves) - len(pending))
    if before.waves and tail == tuple(wave.spec for wave in pending):
        return before
    check_editable(before)
    _check_genuine(before, ports)
    if (total := len(before.waves) - len(pending) + len(tail)) > MAX_WAVES:
        raise InvalidRequest(f"waves: {total} waves with those that have begun, at most {MAX_WAVES} may be")
    try:
        cut = recut(before, tail, ports.manifests.read_manifest(campaign, edition=before.planning.manifest))
    except DomainError as error:
        raise InvalidRequest(error.message) from error
    ports.manifests.write_manifest(campaign, cut.manifest, edition=edition_of(cut))
    after = ports.specs.sign(apply_recut(before, cut, who=who, now=now))
    ports.audit.append(_entry(before, after, cut.first, who, now))
    return keep_step(ports, stored, Change(campaign=after, due_at=now), now=now)


def cut_waves(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the batches of its edited waves cut."""
    planning = campaign.planning
    manifest = ports.manifests.read_manifest(campaign.id, edition=planning.manifest)
    waves = tuple(
        wave
        if wave.number < planning.claimed_wave
        else cut_wave(campaign, ports.manifests, wave, manifest[wave.start : wave.stop])
        for wave in campaign.waves
    )
    planning = replace(planning, phase=PlanningPhase.MOVING)
    return Change(campaign=replace(campaign, waves=waves, planning=planning), due_at=now)


def move_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the rows of the next batches where they belong; planned once all are."""
    planning = campaign.planning
    wave = campaign.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return Change(campaign=_moved(campaign, wave, now), due_at=now)
    part = planning.claimed_batches // CLAIM_BATCHES
    members = ports.manifests.read_members(campaign.id, wave.number, part)
    batches = ports.manifests.read_batches(campaign.id, wave.number)[planning.claimed_batches :]
    for batch, devices in zip(batches, members, strict=False):
        _move(campaign.id, batch, devices, ports.rollouts)
    planning = replace(planning, claimed_batches=planning.claimed_batches + len(members))
    return Change(campaign=replace(campaign, planning=planning), due_at=now)


def _moved(campaign: Campaign, wave: Wave, now: datetime) -> Campaign:
    planning = campaign.planning
    if wave.number < len(campaign.waves):
        return replace(campaign, planning=replace(planning, claimed_wave=wave.number + 1, claimed_batches=0))
    done = replace(campaign, planning=replace(planning, phase=PlanningPhase.DONE))
    # It was resumed meanwhile, and waited for this.
    return go_on(done, now=now, reason=done.reason) if done.state is CampaignState.PLANNING else done


def _move(campaign: CampaignId, batch: DeviceBatch, devices: Sequence[DeviceId], rollouts: RolloutStore) -> None:
    def attempt() -> None:
        rows = rollouts.read_devices(campaign, batch.shard, devices)
        for strays in _by_wave(rows, batch).values():
            for some in batched(strays, MAX_MOVED, strict=False):
                rollouts.move(campaign, batch.shard, some)

    until_written(attempt, what=f"batch {batch.number} of wave {batch.wave} of {campaign}")


def _by_wave(rows: Mapping[DeviceId, Stored[Rollout]], batch: DeviceBatch) -> Mapping[int, list[RolloutChange]]:
    """The rows that belong to the batch and are not in it yet, by the wave they are in."""
    strays: dict[int, list[RolloutChange]] = {}
    for row in rows.values():
        if (row.value.wave, row.value.batch) != (batch.wave, batch.number):
            after = replace(row.value, wave=batch.wave, batch=batch.number)
            strays.setdefault(row.value.wave, []).append(RolloutChange(before=row, after=after))
    return strays


def _check_genuine(campaign: Campaign, ports: CampaignPorts) -> None:
    """Return if the campaign is what was signed: an edit must not sign what somebody else wrote into its row."""
    try:
        ports.specs.check(campaign)
    except SpecUntrusted as error:
        raise Conflict(f"{campaign.id} cannot be edited: {error.message}; cancel it", code=error.code) from error


def _entry(before: Campaign, after: Campaign, first: int, who: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=who,
        what="edit-waves",
        before=before.state,
        after=after.state,
        detail=f"{_sizes(before.waves[first - 1 :])} became {_sizes(after.waves[first - 1 :])}",
    )


def _sizes(waves: Iterable[Wave]) -> str:
    return ", ".join(f"{wave.number} ({wave.spec.name}): {wave.devices}" for wave in waves)
