"""What a dry run has to say: reckoned from its row, the hub's budget and the price table each time it is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.operations import Operation
from shared.domain.outlook import look_ahead, room_of
from shared.domain.plan_facts import PlanFacts
from shared.domain.prices import PriceTable
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.compare_campaign import compare_campaign, is_same_request
from shared.handlers.create_campaign import campaign_id_of, find_campaign
from shared.ports.campaigns import BudgetStore
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_dry_run_views import view_existing, view_forecast, view_operation
from shared.wire.http_dry_runs import ExistingView, ForecastView, OperationView


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecaster:
    """What forecasts are reckoned with.

    Attributes:
        messages_per_day: The hub's daily quota.
    """

    budget: BudgetStore
    prices: PriceTable
    messages_per_day: int

    def show(self, operation: Operation, *, now: datetime) -> OperationView:
        """An operation with what it knows so far."""
        return view_operation(operation, self._facts(operation, now), self.prices)

    def show_plan(self, operation: Operation, *, now: datetime) -> ForecastView | None:
        """The plan alone; None where nothing is known of the targets."""
        facts = self._facts(operation, now)
        return None if facts is None else view_forecast(operation, facts, self.prices)

    def _facts(self, operation: Operation, now: datetime) -> PlanFacts | None:
        hub = room_of(self.budget.get().value, messages_per_day=self.messages_per_day, now=now)
        return look_ahead(operation, hub, now=now)


def show_existing(request: CampaignRequest, ports: CampaignPorts, idempotency_key: str | None) -> ExistingView | None:
    """The campaign that was made under the key, and how it is not what is asked for now; None where there is none."""
    if idempotency_key is None or (campaign := find_campaign(ports, campaign_id_of(idempotency_key))) is None:
        return None
    differences = compare_campaign(campaign, request, ports)
    return view_existing(campaign, differences, same_request=is_same_request(campaign, request))
