"""Reverting a campaign, step by step: collect who took the package, start a campaign per former version, watch them.

Every step may be repeated: pages are written over, a child has one id, and the parent moves by its etag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaign_specs import digest_devices
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.packages import Package, PackageState
from shared.domain.reversions import Reversion, ReversionPhase
from shared.domain.reverting import (
    OTHERS,
    by_former_version,
    child_id,
    has_moved_on,
    has_room_for,
    is_order_good,
    judge_children,
    make_child,
    note_collected,
    others_of,
    read_former,
    runs_package,
    take_back_again,
)
from shared.domain.rollouts import FINAL, PackageTarget, Rollout
from shared.domain.steps import Change, abort
from shared.domain.versions import MAX_VERSION_LENGTH
from shared.domain.waves import DeviceBatch
from shared.handlers.alerts import raise_alert
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.keep_campaign import announce, step_when_due
from shared.ports.bus import Queue
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.packages import PackageStore
from shared.trust.specs import SpecUntrusted

COLLECT_BATCHES = 20
"""Batches looked into in one step: seconds, at one query each."""

LOOK_AGAIN = timedelta(seconds=15)

MAX_IMPOSSIBLE = 10
MAX_FORMER_LENGTH = 100
"""So many former versions, no longer than this, are told of by name though they cannot be had."""

UNKNOWN_VERSION = ""
_NO_VERSIONS = {
    UNKNOWN_VERSION: "nobody knows what they ran before",
    OTHERS: "they ran more versions than one revert tells apart",
}


def collect_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with more of its devices sorted by the version they ran before.

    All its offers were taken back before, because a device in the middle of it may still succeed. Where some were not,
    they are taken back once more, until it goes on without these devices.
    """
    reversion = _reversion(campaign)
    if reversion.wave > len(campaign.waves):
        return Change(campaign=_note_plan(campaign, ports), due_at=now)
    if reversion.wave == 1 and reversion.batches == 0 and (left := _count_open(campaign, ports)):
        if (again := take_back_again(campaign, now=now)) is not None:
            return Change(campaign=again, due_at=now)
        reversion = replace(reversion, left_open=left)
    batches = ports.manifests.read_batches(campaign.id, reversion.wave)[reversion.batches :][:COLLECT_BATCHES]
    if not batches:
        return Change(campaign=_with(campaign, replace(reversion, wave=reversion.wave + 1, batches=0)), due_at=now)
    rows, moved_on = _read_rows(campaign, batches, ports)
    reversion = replace(reversion, moved_on=reversion.moved_on + moved_on)
    reversion, found = _known_versions(campaign, reversion, by_former_version(campaign, rows), ports.packages)
    for former, devices in found.items():
        ports.manifests.write_page(_child(campaign, former), reversion.pages.get(former, 0), devices)
    collected = note_collected(reversion, found)
    return Change(campaign=_with(campaign, replace(collected, batches=reversion.batches + len(batches))), due_at=now)


def _read_rows(campaign: Campaign, batches: Sequence[DeviceBatch], ports: CampaignPorts) -> tuple[list[Rollout], int]:
    """The batches' rows but those of devices that moved on since, and how many these are."""
    kept: list[Rollout] = []
    moved_on = 0
    for batch in batches:
        rows = [row.value for row in ports.rollouts.read_batch(campaign.id, batch)]
        took = [row for row in rows if runs_package(campaign, row)]
        records = ports.devices.read_batch([row.device for row in took]) if took else {}
        found = {device: record.value for device, record in records.items()}
        stay = [row for row in took if not has_moved_on(campaign, row, found.get(row.device))]
        kept += stay
        moved_on += len(took) - len(stay)
    return kept, moved_on


def _known_versions(
    campaign: Campaign, reversion: Reversion, found: Mapping[str, list[DeviceId]], packages: PackageStore
) -> tuple[Reversion, Mapping[str, list[DeviceId]]]:
    """What devices ran before, with the versions that cannot be had noted; beyond some, those count as unknown.

    A device may say that it ran anything, and each version it makes up would be kept in the campaign's row.
    """
    impossible = dict(reversion.impossible)
    known: dict[str, list[DeviceId]] = {}
    for former, devices in found.items():
        is_new = former not in reversion.pages and former not in impossible
        package = _find_package(packages, read_former(campaign, former)) if is_new else None
        if isinstance(package, str) and len(impossible) < MAX_IMPOSSIBLE and _is_sayable(former):
            impossible[former] = package
        told = former if not isinstance(package, str) or former in impossible else UNKNOWN_VERSION
        has_room = not is_new or told == UNKNOWN_VERSION or has_room_for(told, {*reversion.pages, *known})
        known.setdefault(told if has_room else others_of(campaign), []).extend(devices)
    return replace(reversion, impossible=impossible), known


def _is_sayable(former: str) -> bool:
    return len(former) <= MAX_FORMER_LENGTH and former.isascii() and former.isprintable()


def start_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with its children started, one for each former version that can be had.

    It is aborted, and people are woken, where nobody but a table's writer ordered it, or where the devices are not
    those that were collected: older versions come back only on the word of an operator or of a gate.
    """
    try:
        digests = _check_order(campaign, ports, now)
    except SpecUntrusted as error:
        reason = f"{error.message}; nothing is reverted"
        raise_alert(ports.publisher, subject=f"campaigns/{campaign.id}", code=error.code, message=reason, now=now)
        return Change(campaign=abort(campaign, reason), due_at=now)
    impossible: dict[str, str] = {}
    started: list[CampaignId] = []
    for former, sha256 in digests.items():
        package = _find_package(ports.packages, read_former(campaign, former))
        if isinstance(package, Package):
            started.append(_start_child(campaign, former, package, sha256, ports, now))
        else:
            impossible[former] = package
    reversion = _reversion(campaign)
    watching = replace(reversion, phase=ReversionPhase.WATCHING, children=tuple(started), impossible=impossible)
    return Change(campaign=_with(campaign, watching), due_at=now)


def _check_order(campaign: Campaign, ports: CampaignPorts, now: datetime) -> dict[str, str]:
    """The digests over the devices of each former version, if all is as it was ordered, and maybe approved.

    Raises:
        SpecUntrusted: It is not.
    """
    ports.specs.check_reversion(campaign)
    if not is_order_good(campaign, now=now):
        raise SpecUntrusted("the order to revert it is too old")
    digests = {former: _digest(campaign, former, ports) for former in sorted(_reversion(campaign).pages)}
    # Rows from before have none.
    if _reversion(campaign).digests not in ({}, digests):
        raise SpecUntrusted("the devices that are to go back are not those that were collected")
    return digests


def watch_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """The campaign as its children let it be."""
    children = [ports.campaigns.get(child).value for child in _reversion(campaign).children]
    return Change(campaign=judge_children(campaign, children), due_at=now + LOOK_AGAIN)


def _start_child(
    campaign: Campaign, former: str, package: Package, sha256: str, ports: CampaignPorts, now: datetime
) -> CampaignId:
    pages = _reversion(campaign).pages[former]
    made = make_child(campaign, former, package, sha256=sha256, pages=pages, now=now)
    child = ports.specs.sign(made)
    ports.audit.append(_entry(child))
    try:
        ports.campaigns.create(child)
    except AlreadyExists:
        return child.id
    ports.sender.send(Queue.CAMPAIGN_STEPS, [step_when_due(child, now=now)])
    announce(ports.publisher, None, child)
    return child.id


def _find_package(packages: PackageStore, former: PackageTarget) -> Package | str:
    """The former package, or why it cannot be had."""
    name, version = former.name, former.version
    if version in _NO_VERSIONS:
        return _NO_VERSIONS[version]
    # Devices say what they like: such a text makes no key that a table can be asked for.
    if len(version) > MAX_VERSION_LENGTH or not version.isascii():
        return f"{name} {version} was never published"
    try:
        registered = packages.get(name, version).value
    except NotThere:
        return f"{name} {version} was never published"
    if registered.is_withdrawn or registered.state is not PackageState.PUBLISHED:
        return f"{name} {version} is no longer published"
    if (registered.package.name, registered.package.version.text) != (name, version):
        return f"the row of {name} {version} is about another package"
    return registered.package


def _note_plan(campaign: Campaign, ports: CampaignPorts) -> Campaign:
    """The campaign with all that is to be approved about its going back, where people are to be asked."""
    reversion = _reversion(campaign)
    digests = {former: _digest(campaign, former, ports) for former in reversion.pages}
    return _with(campaign, replace(reversion, phase=ReversionPhase.STARTING, digests=digests))


def _digest(campaign: Campaign, former: str, ports: CampaignPorts) -> str:
    """Over the devices that ran this before."""
    pages = ports.manifests.read_pages(_child(campaign, former), _reversion(campaign).pages[former])
    return digest_devices(device for page in pages for device in page)


def _count_open(campaign: Campaign, ports: CampaignPorts) -> int:
    counters = [ports.rollouts.read_counters(campaign.id, wave.number, campaign.shards) for wave in campaign.waves]
    return sum(each.total - each.of(*FINAL) for each in counters)


def _child(campaign: Campaign, former: str) -> CampaignId:
    return child_id(campaign.id, former, _reversion(campaign).number)


def _reversion(campaign: Campaign) -> Reversion:
    return campaign.reversion or Reversion()


def _with(campaign: Campaign, reversion: Reversion) -> Campaign:
    return replace(campaign, reversion=reversion)


def _entry(child: Campaign) -> AuditEntry:
    return AuditEntry(
        campaign=child.id,
        step=child.step,
        at=child.created_at,
        who=SERVICE,
        what="create",
        before="",
        after=child.state,
        detail=f"{child.requested_by}: {child.target.name} {child.target.version}",
    )
