"""Taking over devices that a batch waits for, as their offers are about to go out.

Each step may be repeated. A row that is superseded is cancelled first: its device's hold is stale from then on. The
device is claimed next, and the claim's sequence goes into our row with the mark that it is offered. A death between
any two leaves a device that is free, or held by us, and the next try goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.conflicts import Contender, Settlement, held_by, settle_conflict, superseded_by
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.in_hand import is_in_hand
from shared.domain.retries import cut_short
from shared.domain.rollouts import Rollout, RolloutState
from shared.handlers.holders import Hold, Holders
from shared.handlers.wakeups import request_evaluation
from shared.ports.bus import MessageSender, Queue
from shared.ports.campaigns import CampaignStore
from shared.ports.rollouts import DeviceStore, RolloutChange, RolloutStore
from shared.ports.stored import Stored

log = logging.getLogger(__name__)

FIRST_LOOK_S = 15
LAST_LOOK_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOverPorts:
    """What taking over needs from outside."""

    campaigns: CampaignStore
    rollouts: RolloutStore
    devices: DeviceStore
    sender: MessageSender
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How it stands about the devices that one batch waits for; nothing is written yet.

    Attributes:
        free: Rows whose device we may have now.
        over: Rows that wait no longer, because it was in vain: skipped.
    """

    free: Sequence[Rollout]
    over: Mapping[DeviceId, Rollout]
    records: Mapping[DeviceId, Stored[DeviceRecord]]
    taken: Mapping[DeviceId, Hold]


def look_at_waits(campaign: Campaign, waiting: Sequence[Rollout], ports: TakeOverPorts, *, now: datetime) -> Waits:
    """What has become of these waiting rows of one batch."""
    if not waiting:
        return Waits(free=(), over={}, records={}, taken={})
    records = ports.devices.read_batch([row.device for row in waiting])
    holds = Holders(campaign.id, ports.campaigns, ports.rollouts).find_holds([row.value for row in records.values()])
    settled = {device: _settle(campaign, waiting[0].wave, hold, now) for device, hold in holds.items()}
    taken = {device: hold for device, hold in holds.items() if settled[device] is Settlement.SUPERSEDE}
    return Waits(
        free=[row for row in waiting if row.device not in holds or row.device in taken],
        over={
            row.device: cut_short(row, RolloutState.SKIPPED, now=now, code=held_by(holds[row.device].holder.id))
            for row in waiting
            if settled.get(row.device) is Settlement.SKIP
        },
        records=records,
        taken=taken,
    )


def take_over(
    campaign: Campaign, waiting: Sequence[Rollout], ports: TakeOverPorts, *, now: datetime
) -> Mapping[DeviceId, Rollout]:
    """The waiting rows of one batch that wait no longer: planned with a claim of ours, or skipped. Not written yet.

    Raises:
        ConcurrentChange: Somebody else wrote a row meanwhile; taking over again is safe.
    """
    waits = look_at_waits(campaign, waiting, ports, now=now)
    _supersede(campaign.id, waits.taken, ports, now)
    claims = _claim(campaign.id, [row.device for row in waits.free], waits.records, ports.devices, now)
    owned = {row.device: replace(row, sequence=claims[row.device].sequence, code="") for row in waits.free}
    return {**owned, **waits.over}


def look_again_s(campaign: Campaign, wave: int, *, now: datetime) -> int:
    """Seconds until a batch that still waits looks again: an eighth of its wait so far, in whole quarter minutes."""
    waited_s = (now - _begun(campaign, wave, now)).total_seconds()
    return min(LAST_LOOK_S, max(1, int(waited_s / 8) // FIRST_LOOK_S) * FIRST_LOOK_S)


def _begun(campaign: Campaign, wave: int, now: datetime) -> datetime:
    return campaign.waves[wave - 1].started_at or now


def _settle(campaign: Campaign, wave: int, hold: Hold, now: datetime) -> Settlement:
    """A device is waited for as long as one may wait for a device: then it is given up (invariant I8)."""
    gives_up_at = _begun(campaign, wave, now) + timedelta(seconds=campaign.spec.deadlines.offered_s)
    held = hold.row.value if hold.row else None
    return settle_conflict(
        _contender(campaign),
        _contender(hold.holder),
        held,
        in_hand=held is not None and is_in_hand(hold.holder, held, now=now),
        now=now,
        gives_up_at=gives_up_at,
    )


def _contender(campaign: Campaign) -> Contender:
    return Contender(id=campaign.id, created_at=campaign.created_at, precedence=campaign.spec.precedence)


def _supersede(campaign: CampaignId, taken: Mapping[DeviceId, Hold], ports: TakeOverPorts, now: datetime) -> None:
    """End the rows, one transaction for each holder, shard and wave; their gates may have something to say."""
    places: dict[tuple[CampaignId, int, int], list[RolloutChange]] = {}
    for device, hold in taken.items():
        if hold.row is not None:
            place = hold.holder.id, shard_of(device, hold.holder.shards), hold.row.value.wave
            change = RolloutChange(before=hold.row, after=_cancelled(hold.row.value, campaign, now))
            places.setdefault(place, []).append(change)
    for (holder, shard, wave), changes in places.items():
        log.info("%s takes %d devices from %s", campaign, len(changes), holder)
        ports.rollouts.write(holder, shard, changes)
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(holder, wave, ports.clock())])


def _cancelled(rollout: Rollout, campaign: CampaignId, now: datetime) -> Rollout:
    detail = f"a campaign of higher priority took the device while it was {rollout.state}"
    return cut_short(rollout, RolloutState.CANCELLED, now=now, code=superseded_by(campaign), detail=detail)


def _claim(
    campaign: CampaignId,
    devices: Sequence[DeviceId],
    records: Mapping[DeviceId, Stored[DeviceRecord]],
    store: DeviceStore,
    now: datetime,
) -> Mapping[DeviceId, DeviceRecord]:
    unknown = DeviceRecord(device=DeviceId(""), changed_at=now)
    before = [records.get(device, Stored(value=replace(unknown, device=device), etag="")) for device in devices]
    after = [Stored(value=claim(row.value, campaign, now=now), etag=row.etag) for row in before]
    changed = [new for old, new in zip(before, after, strict=True) if new.value != old.value]
    if changed:
        store.write(changed)
    return {row.value.device: row.value for row in after}
