"""Reverting a campaign, step by step: collect who took the package, start a campaign per former version, watch them.

Every step may be repeated: pages are written over, a child has one id, and the parent moves by its etag.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaigns import Campaign, Reversion, ReversionPhase, digest_devices
from shared.domain.ids import CampaignId
from shared.domain.packages import Package, PackageState
from shared.domain.reverting import (
    by_former_version,
    child_id,
    is_order_good,
    judge_children,
    make_child,
    note_collected,
    read_former,
)
from shared.domain.rollouts import FINAL, PackageTarget
from shared.domain.steps import Change, abort
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


def collect_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with more of its devices sorted by the version they ran before.

    It waits until all its offers are taken back: a device in the middle of it may still succeed.
    """
    reversion = _reversion(campaign)
    if reversion.wave > len(campaign.waves):
        return Change(campaign=_with(campaign, replace(reversion, phase=ReversionPhase.STARTING)), due_at=now)
    if reversion.wave == 1 and reversion.batches == 0 and _has_open_rows(campaign, ports):
        return Change(campaign=campaign, due_at=now + LOOK_AGAIN)
    batches = ports.manifests.read_batches(campaign.id, reversion.wave)[reversion.batches :][:COLLECT_BATCHES]
    if not batches:
        return Change(campaign=_with(campaign, replace(reversion, wave=reversion.wave + 1, batches=0)), due_at=now)
    rows = [row.value for batch in batches for row in ports.rollouts.read_batch(campaign.id, batch)]
    found = by_former_version(campaign, rows)
    for former, devices in found.items():
        ports.manifests.write_page(child_id(campaign.id, former), reversion.pages.get(former, 0), devices)
    collected = note_collected(reversion, found)
    return Change(campaign=_with(campaign, replace(collected, batches=reversion.batches + len(batches))), due_at=now)


def start_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with its children started, one for each former version that can be had.

    It is aborted, and people are woken, where nobody but a table's writer ordered it: older versions come back only on
    the word of an operator or of a gate.
    """
    try:
        ports.specs.check_reversion(campaign)
        if not is_order_good(campaign, now=now):
            raise SpecUntrusted("the order to revert it is too old")
    except SpecUntrusted as error:
        reason = f"{error.message}; nothing is reverted"
        raise_alert(ports.publisher, subject=f"campaigns/{campaign.id}", code=error.code, message=reason, now=now)
        return Change(campaign=abort(campaign, reason), due_at=now)
    reversion = _reversion(campaign)
    impossible: dict[str, str] = {}
    started: list[CampaignId] = []
    for former in sorted(reversion.pages):
        package = _find_package(ports.packages, read_former(campaign, former))
        if isinstance(package, Package):
            started.append(_start_child(campaign, former, package, ports, now))
        else:
            impossible[former] = package
    watching = replace(reversion, phase=ReversionPhase.WATCHING, children=tuple(started), impossible=impossible)
    return Change(campaign=_with(campaign, watching), due_at=now)


def watch_reverts(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """The campaign as its children let it be."""
    children = [ports.campaigns.get(child).value for child in _reversion(campaign).children]
    return Change(campaign=judge_children(campaign, children), due_at=now + LOOK_AGAIN)


def _start_child(campaign: Campaign, former: str, package: Package, ports: CampaignPorts, now: datetime) -> CampaignId:
    pages = _reversion(campaign).pages[former]
    devices = [device for page in ports.manifests.read_pages(child_id(campaign.id, former), pages) for device in page]
    made = make_child(campaign, former, package, sha256=digest_devices(devices), pages=pages, now=now)
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
    if not version:
        return "nobody knows what they ran before"
    try:
        registered = packages.get(name, version).value
    except NotThere:
        return f"{name} {version} was never published"
    if registered.is_withdrawn or registered.state is not PackageState.PUBLISHED:
        return f"{name} {version} is no longer published"
    if (registered.package.name, registered.package.version.text) != (name, version):
        return f"the row of {name} {version} is about another package"
    return registered.package


def _has_open_rows(campaign: Campaign, ports: CampaignPorts) -> bool:
    counters = [ports.rollouts.read_counters(campaign.id, wave.number, campaign.shards) for wave in campaign.waves]
    return any(each.total > each.of(*FINAL) for each in counters)


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
