"""Looking at a draft's devices: who holds them, what they run. Nothing is claimed and nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.campaigns import Campaign
from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.domain.operations import Operation
from shared.domain.plan_findings import Conflict, Findings
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.steps import Change
from shared.domain.variants import choose_variant
from shared.domain.versions import is_newer
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.claim_devices import batches_in_hand, listed_in_hand
from shared.handlers.holders import Holders


def look_at_batches(operation: Operation, ports: CampaignPorts, *, now: datetime) -> tuple[Change, Findings]:
    """The draft with its next device batches looked at, with the cursor that claiming uses, and what was found.

    What devices run is what the ``devices`` table says; which of several packages is for them, that or what the query
    that listed them handed out. No twin is read.
    """
    draft, planning, findings = operation.draft, operation.draft.planning, operation.findings
    wave = draft.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return _change(draft, _next_wave(planning, len(draft.waves)), now), findings
    holders = Holders(draft.id, ports.campaigns, ports.rollouts)
    batches = batches_in_hand(draft, wave, ports.manifests)
    listed = listed_in_hand(draft, wave, ports.manifests)
    for _, devices in batches:
        rows = {device: row.value for device, row in ports.devices.read_batch(devices).items()}
        findings = replace(findings, heard=findings.heard.with_devices(draft.spec.targets, devices, rows))
        records = [_with_hardware(record, listed) for record in rows.values()]
        hardware = {device: listed[device] for device in devices if device in listed}
        hardware |= {record.device: record.hardware for record in records if record.hardware}
        findings = _with_variants(findings, wave.number, len(devices), list(hardware.values()), draft)
        wanted = [record for record in records if not record.hardware or _variant_of(record, draft) is not None]
        findings = findings.with_devices(wave.number, len(devices), *_judge(draft, wanted, holders))
        findings = replace(findings, newer=findings.newer + sum(_runs_newer(record, draft) for record in wanted))
    looked_at = replace(planning, claimed_batches=planning.claimed_batches + len(batches))
    return _change(draft, looked_at, now), findings


def _judge(draft: Campaign, records: Sequence[DeviceRecord], holders: Holders) -> tuple[list[Conflict], int]:
    """Who of the devices is held, and how many of the others run the version already."""
    holds = holders.find_holds(records)
    conflicts = [Conflict(device=device, held_by=hold.holder.id) for device, hold in holds.items()]
    return conflicts, sum(_runs(record, draft) for record in records if record.device not in holds)


def _with_hardware(record: DeviceRecord, listed: Mapping[DeviceId, str]) -> DeviceRecord:
    return record if record.hardware else replace(record, hardware=listed.get(record.device, ""))


def _with_variants(findings: Findings, wave: int, devices: int, known: Sequence[str], draft: Campaign) -> Findings:
    """The findings with which package is for how many of them.

    Args:
        known: The hardware of those of which it is known.
    """
    if not draft.other_packages:
        return findings
    chosen = Counter(choose_variant(draft.packages, hardware) for hardware in known)
    by_variant = [chosen[number] for number in range(len(draft.packages))]
    return findings.with_variants(wave, by_variant, unknown=devices - len(known), unfit=chosen[None])


def _variant_of(record: DeviceRecord, draft: Campaign) -> int | None:
    return choose_variant(draft.packages, record.hardware)


def _runs(record: DeviceRecord, draft: Campaign) -> bool:
    if (variant := _variant_of(record, draft)) is None:
        return False
    target = draft.spec.packages[variant]
    return record.installed.get(target.name) == target.version


def _runs_newer(record: DeviceRecord, draft: Campaign) -> bool:
    if (variant := _variant_of(record, draft)) is None:
        return False
    package = draft.packages[variant]
    installed = record.installed.get(package.name)
    return installed is not None and is_newer(installed, package.version)


def _next_wave(planning: Planning, waves: int) -> Planning:
    if planning.claimed_wave < waves:
        return replace(planning, claimed_wave=planning.claimed_wave + 1, claimed_batches=0)
    return replace(planning, phase=PlanningPhase.DONE)


def _change(draft: Campaign, planning: Planning, now: datetime) -> Change:
    return Change(campaign=replace(draft, planning=planning), due_at=now)
