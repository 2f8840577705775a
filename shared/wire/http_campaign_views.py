"""What ``GET /campaigns`` and ``GET /campaigns/{id}`` answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from shared.domain.campaign_specs import DeviceQuery, Targets
from shared.domain.campaigns import Campaign
from shared.domain.cohorts import Tally
from shared.domain.gates import Counters
from shared.domain.retries import RETRYABLE
from shared.domain.rollouts import RolloutState
from shared.domain.steps_by_operators import fitting_actions
from shared.domain.verdicts import Verdict
from shared.domain.waits import Wait
from shared.domain.walks import BatchPurpose
from shared.domain.waves import WaveState
from shared.domain.windows import Window
from shared.wire.http_approvals import ApprovalView, view_approval
from shared.wire.http_hearsay import GONE, UNHEARD, NamedDevicesView, view_named
from shared.wire.http_policies import WEEKDAYS
from shared.wire.http_quarantine import QuarantinedView, view_quarantined
from shared.wire.http_rates import PaceView, view_pace
from shared.wire.http_retries import RetriesView, view_retries
from shared.wire.http_reversions import ReversionView, view_reversion
from shared.wire.http_schedules import ScheduleView, view_schedule
from shared.wire.http_variants import CampaignPackageView, view_packages
from shared.wire.http_waits import WaitView, view_wait
from shared.wire.http_wave_views import WaveView, view_wave


class CampaignSummary(BaseModel):
    """A campaign in a list."""

    id: str
    name: str
    package: str = Field(description="The package; the first of several")
    version: str
    packages: list[CampaignPackageView] = Field(description="All its packages; of several, each device gets one")
    state: str
    reason: str = Field(description="Why it is in its state, a sentence for operators; empty when all goes its way")
    targets: int = Field(description="Devices it is for; 0 until they are listed")
    requested_by: str
    created_at: datetime
    changed_at: datetime


class CampaignPage(BaseModel):
    """Part of the list; ``continuation`` is the query parameter for the next part, null at the end."""

    campaigns: list[CampaignSummary]
    unreadable: list[str] = Field(
        description="Ids of campaigns that belong here and that this instance cannot read: a newer version wrote them"
    )
    continuation: str | None = None


class WindowView(BaseModel):
    """A maintenance window."""

    days: list[str] = Field(description="Days on which it begins")
    start: str
    end: str
    zone: str = Field(description="IANA name, or device for the device's own")


class PlanView(BaseModel):
    """How far planning is, and what it found."""

    phase: str = Field(
        description="listing, ordering, claiming or done; filtering, cutting and moving after an edit of waves"
    )
    listed: int = Field(description="Devices found so far, repeats included")
    joined: int = Field(description="Devices that joined later, because they began to match the query")
    excluded: int = Field(description="Targets left out because the operator excluded them")
    skipped: int = Field(description="Devices left out because another campaign holds them")
    waiting: int = Field(description="Devices another campaign held when it was planned, and that are waited for")
    current: int = Field(description="Devices left out because they run the version already, as their twins confirmed")
    no_package: int = Field(description="Devices left out because none of several packages is for their hardware")
    unheard: NamedDevicesView = Field(description=UNHEARD)
    gone: NamedDevicesView = Field(description=GONE)


class CampaignView(CampaignSummary):
    """A campaign with everything an operator asks about."""

    query: str | None = Field(description="The query its targets were listed by; null where they were named")
    group: str | None = Field(description="The saved group whose meaning was copied when it was posted; null without")
    target_list: str | None = Field(description="The blob whose ids were copied when it was posted; null without one")
    membership: str = Field(description="snapshot; dynamic while devices may join; closed once an operator said so")
    canaries: str = Field(description="Whether other devices come first in each campaign: rotating or fixed")
    excluded_query: str | None = Field(description="The query that found devices to leave out; null without one")
    excluded_group: str | None = Field(description="The saved group that is left out, as it was when it was posted")
    excluded_lists: list[str] = Field(description="The blobs whose ids are left out, as they were when it was posted")
    allow_downgrade: bool
    retries: RetriesView | None = Field(description="Which failures are tried again; null for none")
    on_late_failure: str = Field(description="pause or alert: what a failure does in a wave that has passed")
    windows: list[WindowView] = Field(description="When devices may install; empty for always")
    priority: int = Field(description="0-1000; higher ones get the hub's slots first")
    on_conflict: str = Field(description="skip, wait or supersede: what becomes of devices another campaign holds")
    quarantined: list[QuarantinedView] = Field(description="Cohorts that are held back")
    pace: PaceView
    approval: ApprovalView | None = Field(description="Whose approval it needs and has; null for nobody's")
    reversion: ReversionView | None = Field(description="How its devices go back; null where nobody ordered it")
    schedule: ScheduleView | None = Field(description="When it starts and ends by itself; null without a schedule")
    deadlines: dict[str, float] = Field(description="Seconds a device may stay in a state")
    retention_days: int | None = Field(
        description="Days its devices' rows stay in the table once it has ended; 0 for ever, null as the service is set"
    )
    archived_at: datetime | None = Field(description="When its devices' rows left the table; null while they are there")
    plan: PlanView
    waits_for: list[WaitView] = Field(description="All that holds it back now; empty where it goes on")
    waves: list[WaveView]
    retrying: int = Field(description="Devices to be tried again on request whose batch's turn has not come")
    actions: list[str] = Field(description="Operator actions that fit its state, and that its packages allow")


def view_summary(campaign: Campaign) -> CampaignSummary:
    """A campaign as it stands in a list."""
    return CampaignSummary(**_summary(campaign))


def view_campaign(
    campaign: Campaign,
    tallies: Mapping[int, Tally],
    verdicts: Mapping[int, Verdict],
    waits: Sequence[Wait] = (),
    *,
    is_withdrawn: bool = False,
) -> CampaignView:
    """A campaign with its waves.

    Args:
        tallies: Wave number to what its devices are in.
        verdicts: Wave number to what its gate says now, where it is asked.
        waits: What holds it back.
        is_withdrawn: Whether one of its packages is.
    """
    counters = {number: tally.counters for number, tally in tallies.items()}
    succeeded = sum(count.of(RolloutState.SUCCEEDED) for count in counters.values())
    return CampaignView(
        **_summary(campaign),
        **_targets(campaign),
        **_policies(campaign),
        pace=view_pace(campaign.spec.pace, succeeded),
        quarantined=view_quarantined(campaign.quarantined),
        archived_at=campaign.archive.ended_at if campaign.archive else None,
        reversion=view_reversion(campaign),
        plan=_view_plan(campaign),
        waits_for=[view_wait(wait) for wait in waits],
        waves=[
            view_wave(wave, tallies.get(wave.number, Tally()), verdicts.get(wave.number)) for wave in campaign.waves
        ],
        retrying=_retrying(campaign, counters),
        actions=[action.value for action in fitting_actions(campaign, is_withdrawn=is_withdrawn)],
    )


def _targets(campaign: Campaign) -> dict[str, Any]:
    targeting = campaign.spec.targeting
    return {
        "query": _query(campaign.spec.targets),
        "group": targeting.group or None,
        "target_list": targeting.list_name or None,
        "membership": "closed" if campaign.newcomers.is_closed else targeting.membership.value,
        "canaries": targeting.canaries.value,
        "excluded_query": targeting.excluded_query or None,
        "excluded_group": targeting.excluded_group or None,
        "excluded_lists": list(targeting.excluded_lists),
    }


def _policies(campaign: Campaign) -> dict[str, Any]:
    spec = campaign.spec
    return {
        "allow_downgrade": spec.allow_downgrade,
        "retries": view_retries(spec.retries),
        "on_late_failure": spec.on_late_failure,
        "windows": [_view_window(window) for window in spec.windows],
        "priority": spec.precedence.priority,
        "on_conflict": spec.precedence.on_conflict.value,
        "retention_days": spec.retention_days,
        "approval": view_approval(campaign),
        "schedule": view_schedule(campaign),
        "deadlines": asdict(spec.deadlines),
    }


def _view_plan(campaign: Campaign) -> PlanView:
    planning = campaign.planning
    return PlanView(
        phase=planning.phase,
        listed=planning.listed,
        joined=campaign.newcomers.joined,
        excluded=planning.excluded,
        skipped=planning.skipped,
        waiting=planning.waiting,
        current=planning.current,
        no_package=planning.no_package,
        unheard=view_named(planning.heard.unheard),
        gone=view_named(planning.heard.gone),
    )


def _retrying(campaign: Campaign, counters: Mapping[int, Counters]) -> int:
    walk = next((walk for walk in campaign.walks if walk.purpose is BatchPurpose.RETRY), None)
    if walk is None:
        return 0
    ahead = [wave.number for wave in campaign.waves if wave.number >= walk.wave and wave.state is not WaveState.SKIPPED]
    return sum(counters[number].of(*RETRYABLE) for number in ahead if number in counters)


def _summary(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "name": campaign.spec.name,
        "package": campaign.target.name,
        "version": campaign.target.version,
        "packages": view_packages(campaign),
        "state": campaign.state.value,
        "reason": campaign.reason,
        "targets": campaign.targets,
        "requested_by": campaign.requested_by,
        "created_at": campaign.created_at,
        "changed_at": campaign.changed_at,
    }


def _view_window(window: Window) -> WindowView:
    return WindowView(
        days=[WEEKDAYS[day - 1] for day in window.days],
        start=window.start.isoformat("minutes"),
        end=window.end.isoformat("minutes"),
        zone=window.zone,
    )


def _query(targets: Targets) -> str | None:
    return targets.query if isinstance(targets, DeviceQuery) else None
