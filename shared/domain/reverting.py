"""Reverting: devices that took a campaign's package get their former one back, by campaigns of their own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaign_specs import CampaignSpec, DeviceList
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.endings import give_up
from shared.domain.gates import OnStop
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.packages import Package
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.reversions import Reversion, ReversionPhase, Wish
from shared.domain.rollouts import PackageTarget, Rollout, RolloutState
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import Percent, Rest, Wave, WaveSpec

ORDER_LASTS = timedelta(days=30)
"""From the order until its campaigns start: its devices in flight take days to give up at the most."""

PATIENCE = timedelta(hours=1)
"""How long devices in flight are waited for at most: those that have the package shall not wait for one lost batch."""

OTHERS = "*"

_OF_A_VERSION = 130
"""Characters that each version takes besides itself, three times: pages, devices, digest, child."""
_ROOM = 26_000
"""Azure Table takes 32,768 characters in a string property; what cannot be had is told of in the same one."""


def begin_reverting(campaign: Campaign, reason: str, *, who: str, now: datetime) -> Campaign:
    """The campaign about to take back all its open offers, and then what its devices have installed.

    Args:
        who: Label of the operator, or the gate.
    """
    ended = give_up(campaign, reason, now=now, forced=True)
    number = campaign.reversion.number + 1 if campaign.reversion else 1
    order = Reversion(number=number, ordered_by=who, ordered_at=now.replace(microsecond=0))
    return replace(ended, state=CampaignState.REVERTING, reversion=order)


def is_newly_ordered(before: Campaign, after: Campaign) -> bool:
    """Whether the step between the two is the one that orders it, and no other may be taken for it."""
    number = before.reversion.number if before.reversion else 0
    return after.reversion is not None and after.reversion.number == number + 1


def take_back_again(campaign: Campaign, *, now: datetime) -> Campaign | None:
    """The campaign about to take back its open offers once more; None where it goes on without these devices."""
    ordered_at = campaign.reversion.ordered_at if campaign.reversion else None
    if ordered_at is None or now >= ordered_at + PATIENCE:
        return None
    walk = Walk(purpose=BatchPurpose.WITHDRAW, last_wave=len(campaign.waves))
    return replace(campaign, walks=(*campaign.walks, walk))


def tell(campaign: Campaign, wish: Wish) -> Campaign:
    """The campaign about to have its children do the same as it."""
    order = campaign.reversion or Reversion()
    has_children = order.phase is not ReversionPhase.COLLECTING
    return replace(campaign, reversion=replace(order, wish=wish, is_told=not has_children))


def paused_with(parent: CampaignId) -> str:
    """How the reason begins of a child that was paused because its parent was, and shall go on with it."""
    return f"paused with {parent}"


def children_of(campaign: Campaign) -> list[CampaignId]:
    """The ids of all campaigns that may have been started to revert it, those included that nobody noted."""
    order = campaign.reversion or Reversion()
    return [child_id(campaign.id, version, order.number) for version in sorted(order.pages)]


def is_order_good(campaign: Campaign, *, now: datetime) -> bool:
    """Whether the order to revert is young enough: one kept by a thief must not serve again years later."""
    ordered_at = campaign.reversion.ordered_at if campaign.reversion else None
    return ordered_at is not None and timedelta(0) <= now - ordered_at + timedelta(minutes=5) <= ORDER_LASTS


def child_id(parent: CampaignId, former: str, number: int = 1) -> CampaignId:
    """The id of the campaign that brings one former version back; the same however often it is asked for.

    Args:
        number: Of the order to revert.
    """
    # The number stands before the text: versions may end like one.
    place = f"{parent}:revert{number if number > 1 else ''}:{former}"
    return CampaignId(f"c{hashlib.sha256(place.encode()).hexdigest()[:20]}")


def by_former_version(campaign: Campaign, rollouts: Sequence[Rollout]) -> Mapping[str, list[DeviceId]]:
    """The devices that took a package, by what they ran before, see ``read_former``."""
    found: dict[str, list[DeviceId]] = {}
    for rollout in rollouts:
        if runs_package(campaign, rollout):
            found.setdefault(_write_former(campaign, rollout), []).append(rollout.device)
    return found


def has_moved_on(campaign: Campaign, rollout: Rollout, record: DeviceRecord | None) -> bool:
    """Whether the device was given another version since, by a later campaign: what it ran before this one is past.

    A later claim may have come before anybody noted that this campaign's package was installed: then the former version
    stands there yet.
    """
    if record is None or record.sequence <= rollout.sequence:
        return False
    target = campaign.target_of(rollout)
    return record.installed.get(target.name, target.version) not in (target.version, rollout.former_version)


def runs_package(campaign: Campaign, rollout: Rollout) -> bool:
    """A device that went back, or only seemed to, may have come again: what it said last counts."""
    if rollout.state is RolloutState.REGRESSED:
        return rollout.installed_version == campaign.target_of(rollout).version
    return rollout.state is RolloutState.SUCCEEDED


def _write_former(campaign: Campaign, rollout: Rollout) -> str:
    """The version alone where all packages have one name, as it was before there could be several.

    A device may report any text as its version: which of the two it is, the campaign says, never the text.
    """
    name, version = campaign.target_of(rollout).name, rollout.former_version
    return f"{name} {version}" if _has_several_names(campaign) else version


def read_former(campaign: Campaign, former: str) -> PackageTarget:
    """What devices ran before; its version is empty where nobody knows it.

    It is a version of one of the campaign's packages whatever the text says: packages are signed, the text is not.
    """
    if not _has_several_names(campaign):
        return PackageTarget(name=campaign.target.name, version=former)
    name, _, version = former.partition(" ")
    found = next((target.name for target in campaign.spec.packages if target.name == name), None)
    return PackageTarget(name=found or campaign.target.name, version=version if found else "")


def others_of(campaign: Campaign) -> str:
    """What devices count as whose former version there is no room to tell apart."""
    return f"{campaign.target.name} {OTHERS}" if _has_several_names(campaign) else OTHERS


def has_room_for(former: str, known: Collection[str]) -> bool:
    """Whether the order's column in the campaign's row has room for one more former version."""
    return sum(3 * len(each) + _OF_A_VERSION for each in (*known, former)) <= _ROOM


def _has_several_names(campaign: Campaign) -> bool:
    return len({target.name for target in campaign.spec.packages}) > 1


def note_collected(reversion: Reversion, found: Mapping[str, Sequence[DeviceId]]) -> Reversion:
    """The reversion behind one more page for each version that was found."""
    pages, devices = dict(reversion.pages), dict(reversion.devices)
    for version, members in found.items():
        pages[version] = pages.get(version, 0) + 1
        devices[version] = devices.get(version, 0) + len(members)
    return replace(reversion, pages=pages, devices=devices)


def make_child(parent: Campaign, former: str, package: Package, *, sha256: str, pages: int, now: datetime) -> Campaign:
    """The campaign that brings the former version back, in the parent's waves and with its gates, but without soaks.

    Args:
        sha256: Digest over its devices, see ``digest_devices``.
        pages: Pages of the manifest store that hold them.
    """
    count = parent.reversion.devices[former] if parent.reversion else 0
    spec = CampaignSpec(
        name=f"{parent.spec.name[:60]}: back to {former[:70]}",
        package=read_former(parent, former),
        targets=DeviceList(count=count, sha256=sha256),
        waves=tuple(_waves(parent)),
        deadlines=parent.spec.deadlines,
        allow_downgrade=True,
        windows=parent.spec.windows,
        retries=parent.spec.retries,
        pace=parent.spec.pace,
        precedence=parent.spec.precedence,
        retention_days=parent.spec.retention_days,
    )
    return Campaign(
        id=child_id(parent.id, former, parent.reversion.number if parent.reversion else 1),
        spec=spec,
        package=package,
        shards=parent.shards,
        step=1,
        step_due_at=now,
        planning=Planning(phase=PlanningPhase.ORDERING, page=pages, listed=count),
        requested_by=f"revert of {parent.id}",
        created_at=now,
        changed_at=now,
        state_since=now,
    )


def judge_children(campaign: Campaign, children: Sequence[Campaign]) -> Campaign:
    """The campaign once its children have ended; until then with a reason that says how far they are."""
    open_ones = [child for child in children if not child.is_finished]
    words = [f"{child.id} ({_told(campaign, child)}) is {child.state}" for child in open_ones or children]
    left = _left_behind(campaign.reversion or Reversion())
    reason = "; ".join([*words, *left]) or "no device had taken the package"
    if open_ones:
        return replace(campaign, reason=reason)
    return replace(campaign, state=CampaignState.REVERTED, reason=reason)


def watched_children(campaign: Campaign) -> tuple[CampaignId, ...]:
    """The campaigns that its reason tells of now; none where it does not wait for them."""
    order = campaign.reversion
    is_watching = order is not None and order.phase is ReversionPhase.WATCHING
    return order.children if order and is_watching and campaign.state is CampaignState.REVERTING else ()


def _told(campaign: Campaign, child: Campaign) -> str:
    version = child.target.version
    return f"{child.target.name} {version}" if _has_several_names(campaign) else version


def _left_behind(reversion: Reversion) -> list[str]:
    told = {
        "they had not ended in time": reversion.left_open,
        "they were given another version since": reversion.moved_on,
    }
    counts = {why: count for why, count in told.items() if count}
    for version, why in reversion.impossible.items():
        counts[why] = counts.get(why, 0) + reversion.devices.get(version, 0)
    return [f"{count} devices stay as they are, because {why}" for why, count in counts.items()]


def _waves(parent: Campaign) -> list[WaveSpec]:
    """The parent's waves by their shares of its devices; the last one takes the rest."""
    begun = [wave for wave in parent.waves if wave.started_at is not None and wave.devices] or list(parent.waves[:1])
    total = sum(wave.devices for wave in begun) or 1
    *first, last = begun
    return [*(_spec(wave, Percent(percent=_share(wave.devices, total))) for wave in first), _spec(last, Rest())]


def _share(devices: int, total: int) -> float:
    """In percent, rounded down, because the size of a wave is rounded up."""
    return max(0.0001, math.floor(1_000_000 * devices / total) / 10_000)


def _spec(wave: Wave, size: Percent | Rest) -> WaveSpec:
    return WaveSpec(name=wave.spec.name, size=size, gate=replace(wave.spec.gate, soak_s=0.0, on_stop=OnStop.PAUSE))
