"""What ``GET /campaigns`` and ``GET /campaigns/{id}`` answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from shared.domain.campaigns import Campaign, DeviceQuery, Targets
from shared.domain.gates import Counters, Gate
from shared.domain.steps_by_operators import fitting_actions
from shared.domain.waves import DeviceCount, Percent, Wave, WaveSize
from shared.domain.windows import Window
from shared.wire.http_policies import WEEKDAYS


class CampaignSummary(BaseModel):
    """A campaign in a list."""

    id: str
    name: str
    package: str
    version: str
    state: str
    reason: str = Field(description="Why it is in its state, a sentence for operators; empty when all goes its way")
    targets: int = Field(description="Devices it is for; 0 until they are listed")
    requested_by: str
    created_at: datetime
    changed_at: datetime


class CampaignPage(BaseModel):
    """Part of the list; ``continuation`` is the query parameter for the next part, null at the end."""

    campaigns: list[CampaignSummary]
    continuation: str | None = None


class GateView(BaseModel):
    """The gate of a wave. Percentages are of its devices without the skipped, cancelled and acknowledged ones."""

    success_percent: float = Field(description="The wave passes once this share succeeded")
    failure_percent: float | None = Field(description="The campaign stops once more than this share failed")
    failure_count: int | None = Field(description="The campaign stops once this many failed")
    silent_percent: float | None = Field(description="The campaign stops once more than this share timed out")
    minimum_completed: int = Field(description="No percentage stops the campaign before this many devices ended")
    soak_s: float = Field(description="Seconds between the success condition and the next wave")


class WaveView(BaseModel):
    """A wave: its part of the targets, how far it is, and what its gate says."""

    number: int
    name: str
    state: str
    size: str = Field(description="What was asked for: a number of devices, a share, or the rest")
    devices: int
    batches: int = Field(description="Device batches it is cut into")
    dispatched: int = Field(description="Device batches put on the queue so far")
    counters: dict[str, int] = Field(description="Rollout state to the number of devices in it; zeros left out")
    gate: GateView
    verdict: str = Field(description="The gate's sentence about it, now or when it ended")
    acknowledged_failures: int = Field(description="Failures an operator accepted by resuming")
    acknowledged_silent: int = Field(description="Silent devices an operator accepted by resuming")
    started_at: datetime | None
    soak_until: datetime | None
    ended_at: datetime | None


class WindowView(BaseModel):
    """A maintenance window."""

    days: list[str] = Field(description="Days on which it begins")
    start: str
    end: str
    zone: str = Field(description="IANA name, or device for the device's own")


class PlanView(BaseModel):
    """How far planning is, and what it found."""

    phase: str = Field(description="listing, ordering, claiming or done")
    listed: int = Field(description="Devices found so far, repeats included")
    skipped: int = Field(description="Devices left out because another campaign holds them")


class CampaignView(CampaignSummary):
    """A campaign with everything an operator asks about."""

    query: str | None = Field(description="The query its targets were listed by; null where they were named")
    allow_downgrade: bool
    windows: list[WindowView] = Field(description="When devices may install; empty for always")
    deadlines: dict[str, float] = Field(description="Seconds a device may stay in a state")
    plan: PlanView
    waves: list[WaveView]
    actions: list[str] = Field(description="Operator actions that fit its state")


def view_summary(campaign: Campaign) -> CampaignSummary:
    """A campaign as it stands in a list."""
    return CampaignSummary(**_summary(campaign))


def view_campaign(campaign: Campaign, counters: Mapping[int, Counters], verdicts: Mapping[int, str]) -> CampaignView:
    """A campaign with its waves.

    Args:
        counters: Wave number to what its devices are in.
        verdicts: Wave number to its gate's present sentence, where it has one.
    """
    return CampaignView(
        **_summary(campaign),
        query=_query(campaign.spec.targets),
        allow_downgrade=campaign.spec.allow_downgrade,
        windows=[_view_window(window) for window in campaign.spec.windows],
        deadlines=asdict(campaign.spec.deadlines),
        plan=PlanView(
            phase=campaign.planning.phase, listed=campaign.planning.listed, skipped=campaign.planning.skipped
        ),
        waves=[
            _view_wave(wave, counters.get(wave.number, Counters()), verdicts.get(wave.number, wave.reason))
            for wave in campaign.waves
        ],
        actions=[action.value for action in fitting_actions(campaign.state)],
    )


def _summary(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "name": campaign.spec.name,
        "package": campaign.target.name,
        "version": campaign.target.version,
        "state": campaign.state.value,
        "reason": campaign.reason,
        "targets": campaign.targets,
        "requested_by": campaign.requested_by,
        "created_at": campaign.created_at,
        "changed_at": campaign.changed_at,
    }


def _view_wave(wave: Wave, counters: Counters, verdict: str) -> WaveView:
    return WaveView(
        number=wave.number,
        name=wave.spec.name,
        state=wave.state.value,
        size=_size(wave.spec.size),
        devices=wave.devices,
        batches=wave.batches,
        dispatched=wave.dispatched,
        counters={state.value: count for state, count in counters.by_state.items() if count},
        gate=_view_gate(wave.spec.gate),
        verdict=verdict,
        acknowledged_failures=wave.acknowledged.failures,
        acknowledged_silent=wave.acknowledged.silent,
        started_at=wave.started_at,
        soak_until=wave.soak_until,
        ended_at=wave.ended_at,
    )


def _view_window(window: Window) -> WindowView:
    return WindowView(
        days=[WEEKDAYS[day - 1] for day in window.days],
        start=window.start.isoformat("minutes"),
        end=window.end.isoformat("minutes"),
        zone=window.zone,
    )


def _view_gate(gate: Gate) -> GateView:
    return GateView(**asdict(gate))


def _query(targets: Targets) -> str | None:
    return targets.query if isinstance(targets, DeviceQuery) else None


def _size(size: WaveSize) -> str:
    match size:
        case DeviceCount(devices=devices):
            return f"{devices} devices"
        case Percent(percent=percent):
            return f"{percent:g} %"
        case _:
            return "rest"
