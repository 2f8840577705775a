"""From forecasts and operations to what ``shared.wire.http_dry_runs`` answers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.cost_warnings import find_cost_warnings
from shared.domain.forecast import Forecast, WaveForecast
from shared.domain.forecast_retries import forecast_retries
from shared.domain.operations import Operation, OperationState
from shared.domain.plan_facts import PlanFacts
from shared.domain.plan_findings import Findings
from shared.domain.plan_warnings import find_warnings
from shared.domain.prices import Cost, CostLine, PriceTable, reckon
from shared.domain.steps_by_operators import fitting_actions
from shared.wire.http_dry_runs import (
    ConflictsView,
    ConflictView,
    CostLineView,
    CostView,
    DifferenceView,
    DurationView,
    ExistingView,
    ForecastView,
    OperationView,
    PackageForecastView,
    RetryForecastView,
    UsageView,
    WarningView,
    WaveForecastView,
)
from shared.wire.http_hearsay import view_named
from shared.wire.spec_differences import Difference


def view_operation(operation: Operation, facts: PlanFacts | None, prices: PriceTable) -> OperationView:
    """An operation with what it knows so far."""
    return OperationView(
        id=operation.id,
        state=operation.state.value,
        reason=operation.reason,
        listed=operation.draft.targets or operation.draft.planning.listed,
        looked_at=operation.findings.looked_at,
        plan=None if facts is None else view_forecast(operation, facts, prices),
        created_at=operation.created_at,
        changed_at=operation.changed_at,
    )


def view_forecast(operation: Operation, facts: PlanFacts, prices: PriceTable) -> ForecastView:
    """What a campaign would do."""
    ahead = facts.forecast
    cost = reckon(ahead.usage.by_meter(), prices)
    return ForecastView(
        basis="exact" if operation.state is OperationState.SUCCEEDED else "estimate",
        devices=facts.devices,
        waves=[_view_wave(wave) for wave in ahead.waves],
        duration=_view_duration(ahead, facts.inputs.begins_at),
        conflicts=_view_conflicts(facts.findings),
        current=facts.findings.current,
        no_package=facts.findings.no_package,
        unheard=view_named(facts.findings.heard.unheard),
        gone=view_named(facts.findings.heard.gone),
        packages=_view_packages(facts),
        usage=UsageView(**asdict(ahead.usage)),
        retries=_view_retries(facts),
        cost=_view_cost(cost),
        warnings=[
            WarningView(code=warning.code, field=warning.field, message=warning.message)
            for warning in [*find_warnings(facts), *find_cost_warnings(cost)]
        ],
    )


def view_existing(campaign: Campaign, differences: list[Difference], *, same_request: bool) -> ExistingView:
    """The campaign that is there already."""
    return ExistingView(
        id=campaign.id,
        name=campaign.spec.name,
        state=campaign.state.value,
        reason=campaign.reason,
        actions=[action.value for action in fitting_actions(campaign)],
        same_request=same_request,
        differences=[DifferenceView(field=each.field, campaign=each.theirs, request=each.ours) for each in differences],
    )


def _view_packages(facts: PlanFacts) -> list[PackageForecastView]:
    counts = facts.findings.by_variant
    return [
        PackageForecastView(name=target.name, version=target.version, devices=devices)
        for target, devices in zip(facts.spec.packages, counts, strict=False)
    ]


def _view_wave(wave: WaveForecast) -> WaveForecastView:
    return WaveForecastView(
        number=wave.load.number,
        name=wave.load.name,
        devices=wave.load.devices,
        offers=wave.load.offers,
        batches=wave.batches,
        starts_after_s=_s(wave.starts_after_s),
        dispatch_s=_s(wave.dispatch_s),
        window_wait_s=_s(wave.window_wait_s),
        soak_s=wave.load.soak_s,
        ends_after_s=_s(wave.ends_after_s),
    )


def _view_retries(facts: PlanFacts) -> RetryForecastView | None:
    found = forecast_retries(facts.spec.retries, facts.forecast.usage, facts.inputs)
    return None if found is None else RetryForecastView(**asdict(found) | {"dispatch_s": _s(found.dispatch_s)})


def _view_duration(ahead: Forecast, begins_at: datetime) -> DurationView:
    return DurationView(
        begins_at=begins_at,
        ends_at=begins_at + timedelta(seconds=_s(ahead.duration_s)),
        seconds=_s(ahead.duration_s),
        dispatch_s=_s(ahead.dispatch_s),
        backlog_s=_s(ahead.hub.backlog_s),
        twin_updates_per_s=ahead.hub.rate_per_s,
        ceiling_per_s=ahead.hub.ceiling_per_s,
    )


def _view_conflicts(findings: Findings) -> ConflictsView:
    return ConflictsView(
        count=findings.held,
        devices=[ConflictView(device=each.device, campaign=each.held_by) for each in findings.named],
    )


def _view_cost(cost: Cost) -> CostView:
    return CostView(
        currency=cost.currency,
        total=round(float(cost.total), 4),
        prices_as_of=cost.as_of,
        lines=[_view_line(line) for line in cost.lines],
        unpriced=[meter.value for meter in cost.unpriced],
    )


def _view_line(line: CostLine) -> CostLineView:
    return CostLineView(
        meter=line.price.meter.value,
        quantity=float(line.quantity),
        amount=round(float(line.amount), 6),
        price=float(line.price.amount),
        per=line.price.per,
        source=line.price.source,
        as_of=line.price.as_of,
    )


def _s(seconds: float) -> float:
    return round(seconds, 1)
