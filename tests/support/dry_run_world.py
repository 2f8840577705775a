"""Dry runs in the world of campaigns: real handlers over memory, with messages delivered by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.ids import OperationId
from shared.domain.operations import Operation
from shared.domain.prices import PriceTable
from shared.handlers.dry_run import DryRunPorts, advance_operation, resume_operations, start_dry_run
from shared.handlers.forget_operations import ForgettingPorts, forget_operations
from shared.handlers.show_dry_runs import Forecaster, show_existing
from shared.ports.bus import Queue
from shared.ports.errors import PortError
from shared.wire.http_campaigns import CampaignRequest, read_campaign_request
from shared.wire.http_dry_runs import ExistingView, ForecastView
from shared.wire.messages import read_operation_step
from shared.wire.price_file import read_price_file
from shared.wiring.handler_ports import PRICES
from tests.support.campaign_world import CampaignWorld
from tests.support.memory_operations import MemoryOperations
from tests.support.mortal import Died, Life, Mortal


def price_table() -> PriceTable:
    """The table that is shipped."""
    return read_price_file(PRICES.read_bytes())


class DryRunWorld:
    """A campaign world in which dry runs are asked for.

    Attributes:
        campaigns: The world that must not notice them.
    """

    def __init__(self, devices: Iterable[str] = (), *, life: Life | None = None, **options: Any) -> None:
        self.campaigns = CampaignWorld(devices, life=life, **options)
        self.campaigns.manifests.clock = lambda: self.campaigns.now
        self.operations = MemoryOperations()
        mortal: Any = Mortal(self.operations, self.campaigns.life)
        self.ports = DryRunPorts(campaigns=self.campaigns.ports, operations=mortal)

    def start(self, *, key: str | None = None, **request: Any) -> Operation:
        """Ask for a dry run over all devices; arguments replace fields of the request."""
        return start_dry_run(
            self.request(**request),
            self.ports,
            idempotency_key=key,
            requested_by="ada",
            shards=self.campaigns.shards,
            now=self.campaigns.now,
        )

    def request(self, **changes: Any) -> CampaignRequest:
        document = {
            "name": "spring",
            "package": {"name": "thermostat", "version": "2.0.0"},
            "targets": {"query": "SELECT * FROM devices"},
        } | changes
        return read_campaign_request(json.dumps(document).encode())

    def existing(self, key: str, **request: Any) -> ExistingView | None:
        """The campaign made under the key, compared with the request."""
        return show_existing(self.request(**request), self.ports.campaigns, key)

    def plan(self, operation: Operation, *, messages_per_day: int = 10**9) -> ForecastView:
        """What the dry run has to say now; it must have something."""
        forecaster = Forecaster(budget=self.campaigns.budget, prices=price_table(), messages_per_day=messages_per_day)
        found = forecaster.show_plan(operation, now=self.campaigns.now)
        assert found is not None
        return found

    def run(self, operation: OperationId, until: Callable[[], bool] = lambda: False) -> Operation:
        """Deliver messages, and sweep each minute, until the operation is done or the condition holds."""
        bus, end = self.campaigns.bus, self.campaigns.now + timedelta(hours=6)
        while self.campaigns.now < end and not self.found(operation).is_done and not until():
            due = [entry for entry in bus.waiting if entry.visible_at <= self.campaigns.now]
            if not due:
                self.campaigns.now = bus.now = self.campaigns.now + timedelta(seconds=15)
                resume_operations(self.operations, bus, now=self.campaigns.now)
                continue
            assert due[0].queue is Queue.OPERATION_STEPS
            try:
                advance_operation(read_operation_step(due[0].message.body), self.ports, now=self.campaigns.now)
            except (Died, PortError):
                continue
            bus.waiting.remove(due[0])
        return self.found(operation)

    def forget(self, **changes: Any) -> int:
        """Forget what is old enough."""
        life = self.campaigns.life
        drafts: Any = Mortal(self.campaigns.manifests, life)
        ports = ForgettingPorts(operations=self.ports.operations, drafts=drafts, clock=lambda: self.campaigns.now)
        return forget_operations(replace(ports, **changes))

    def found(self, operation: OperationId) -> Operation:
        return self.operations.get(operation).value

    def check_untouched(self, operation: Operation) -> None:
        """No campaign, no row and no twin came of it, and nothing but its own steps was asked for."""
        world = self.campaigns
        assert not world.campaigns.list_page(size=10).items
        assert not world.rollouts.rows(operation.draft.id)
        assert not world.events.events
        assert {entry.queue for entry in world.bus.sent} <= {Queue.OPERATION_STEPS}
