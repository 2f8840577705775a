"""From a draft and what was found about its devices to a forecast with warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.campaign_specs import CampaignSpec
from shared.domain.campaigns import Campaign
from shared.domain.conflicts import OnConflict
from shared.domain.errors import DomainError
from shared.domain.forecast import ForecastInputs, HubRoom, WaveLoad, forecast
from shared.domain.operations import Operation
from shared.domain.pacing import Budget
from shared.domain.plan_facts import PlanFacts
from shared.domain.plan_findings import Findings
from shared.domain.waves import Wave, slice_waves


def room_of(budget: Budget, *, messages_per_day: int | None, now: datetime) -> HubRoom:
    """What the hub's budget leaves now."""
    return HubRoom(
        rate_per_s=budget.rate_per_s,
        ceiling_per_s=budget.ceiling_per_s,
        backlog_s=max(0.0, (budget.next_free_at - now).total_seconds()),
        messages_per_day=messages_per_day,
        bandwidth_bytes_per_s=budget.bandwidth_bytes_per_s,
    )


def look_ahead(operation: Operation, hub: HubRoom, *, now: datetime) -> PlanFacts | None:
    """What the campaign would take; None while nothing is known of its targets.

    Before the listing has ended the waves are cut from the devices found so far, repeats included: a lower bound.
    """
    draft, findings = operation.draft, operation.findings
    waves = draft.waves or _estimated_waves(draft)
    if not waves:
        return None
    begins_at = max(now, draft.start_awaited or now)
    waited_s = (begins_at - now).total_seconds()
    inputs = ForecastInputs(
        waves=[_load(wave, draft.spec, findings) for wave in waves],
        hub=replace(hub, backlog_s=max(0.0, hub.backlog_s - waited_s)),
        package_bytes=draft.largest_bytes,
        variants=len(draft.packages),
        mean_bytes=_mean_bytes(draft, findings),
        windows=draft.spec.windows,
        pace=draft.spec.pace,
        listing_steps=draft.planning.page,
        asked=findings.asked,
        begins_at=begins_at,
    )
    return PlanFacts(spec=draft.spec, inputs=inputs, forecast=forecast(inputs), findings=findings)


def _estimated_waves(draft: Campaign) -> Sequence[Wave]:
    if not draft.planning.listed:
        return ()
    try:
        return slice_waves(draft.planning.listed, draft.spec.waves)
    except DomainError:
        return ()


def _mean_bytes(draft: Campaign, findings: Findings) -> float | None:
    """By the shares of the devices that each package is for; None where they are not known."""
    if not (known := sum(findings.by_variant)):
        return None
    pairs = zip(draft.packages, findings.by_variant, strict=True)
    return sum(package.length_bytes * devices for package, devices in pairs) / known


def _load(wave: Wave, spec: CampaignSpec, findings: Findings) -> WaveLoad:
    gate = wave.spec.gate
    held, current = findings.in_wave(wave.number)
    # Devices that are waited for, or taken over, get their offer in the end.
    left_out = current + (held if spec.precedence.on_conflict is OnConflict.SKIP else 0)
    left_out += findings.unfit_in_wave(wave.number)
    return WaveLoad(
        number=wave.number,
        name=wave.spec.name,
        devices=wave.devices,
        offers=wave.devices - left_out,
        batches=wave.batches or None,
        soak_s=gate.soak_s,
        waits_for_devices=gate.success_percent > 0,
    )
