"""What ``POST /campaigns?dry_run=…`` and ``GET /operations/{id}`` answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from shared.wire.http_hearsay import GONE, UNHEARD, NamedDevicesView


class WaveForecastView(BaseModel):
    """A wave as it is expected. Seconds are lower bounds, counted from the campaign's beginning."""

    number: int
    name: str
    devices: int
    offers: int = Field(
        description="Devices that get an offer: not skipped as held, nor known to run the version already, nor unfit"
    )
    batches: int
    starts_after_s: float
    dispatch_s: float = Field(description="How long its offers take under the hub's throttle")
    window_wait_s: float = Field(description="How long its devices wait at least for a maintenance window")
    soak_s: float
    ends_after_s: float


class DurationView(BaseModel):
    """How long the campaign takes at least, and what that was reckoned with."""

    begins_at: datetime = Field(description="Now, or when its schedule starts; approvals are not waited for here")
    ends_at: datetime = Field(description="So many seconds after it begins")
    seconds: float = Field(description="Until the last wave can have passed; slow and silent devices come on top")
    dispatch_s: float = Field(description="The part of it that the hub's throttle accounts for")
    backlog_s: float = Field(description="The part of it that other campaigns have reserved already")
    twin_updates_per_s: float = Field(description="What the hub's budget allows now")
    ceiling_per_s: float = Field(description="What the hub's tier and units allow")


class RetryForecastView(BaseModel):
    """What further attempts would come on top, if so many of all attempts failed; no other figure counts them."""

    assumed_failure_percent: float = Field(description="An assumption, the same for every plan")
    offers: int
    dispatch_s: float = Field(description="How long their time slots take, under the hub's throttle and its own rate")
    hub_messages: int
    egress_bytes: int
    longest_s: float = Field(description="What a device that fails each time waits between its attempts in all")


class ConflictView(BaseModel):
    """A device that another campaign holds."""

    device: str
    campaign: str


class ConflictsView(BaseModel):
    """Devices that other campaigns hold; what becomes of them is ``on_conflict``'s to say."""

    count: int
    devices: list[ConflictView] = Field(description="The first of them")


class UsageView(BaseModel):
    """What the campaign asks of the services. Reports, transactions, events and executions are upper bounds."""

    twin_writes: int
    device_reports: int
    hub_messages: int = Field(description="Of the IoT Hub's daily quota")
    queue_messages: int
    table_transactions: int
    events: int
    signatures: int = Field(description="One for each device batch and package in it")
    egress_bytes: int = Field(description="Package length times devices that get an offer")
    function_executions: int
    telemetry_rows: int = Field(description="In the Log Analytics workspace, at most: as if nothing were sampled")
    telemetry_bytes: int = Field(description="What the workspace charges for those rows, host's and service's, at most")


class CostLineView(BaseModel):
    """What one meter comes to."""

    meter: str
    quantity: float
    amount: float
    price: float = Field(description="For so many units as ``per`` says")
    per: int
    source: str
    as_of: date


class CostView(BaseModel):
    """Money, by a price table; standing charges, such as the hub's units, are not counted."""

    currency: str
    total: float
    prices_as_of: date
    lines: list[CostLineView]
    unpriced: list[str] = Field(description="Meters that the total leaves out, because no price or use is known")


class WarningView(BaseModel):
    """Something to think about first."""

    code: str
    field: str = Field(description="Where in the request")
    message: str


class PackageForecastView(BaseModel):
    """One of several packages."""

    name: str
    version: str
    devices: int = Field(description="Devices it is for, as far as the service knows their hardware")


class ForecastView(BaseModel):
    """What a campaign would do."""

    basis: Literal["exact", "estimate"] = Field(
        description="exact once all devices were listed and looked at; an estimate is made from those found so far"
    )
    devices: int
    waves: list[WaveForecastView]
    duration: DurationView
    conflicts: ConflictsView
    current: int = Field(description="Devices that run the version already, as far as the service knows")
    no_package: int = Field(description="Devices that none of several packages is for, as far as the service knows")
    unheard: NamedDevicesView = Field(description=UNHEARD)
    gone: NamedDevicesView = Field(description=GONE)
    packages: list[PackageForecastView] = Field(description="Of several packages, whom each is for; empty for one")
    usage: UsageView
    retries: RetryForecastView | None = Field(description="null where nothing is tried again")
    cost: CostView
    warnings: list[WarningView]


class DifferenceView(BaseModel):
    """A field in which the request is not what the campaign is."""

    field: str = Field(description="Where the request has it, or would have it, such as packages.1.version")
    campaign: str | None = Field(description="Its value there, as a request would say it; null for nothing")
    request: str | None


class ExistingView(BaseModel):
    """The campaign that was made under this Idempotency-Key before."""

    id: str
    name: str
    state: str
    reason: str
    actions: list[str]
    same_request: bool = Field(description="Whether it was made by this very request")
    differences: list[DifferenceView] = Field(
        description="How the campaign is not what is asked for; of the same request: what was changed since by hand"
    )


class DryRunView(BaseModel):
    """Either the campaign that is there already, or what a new one would do; neither where only that was asked."""

    existing: ExistingView | None = None
    plan: ForecastView | None = None


class OperationView(BaseModel):
    """A dry run that goes on by itself."""

    id: str
    kind: Literal["dry_run"] = "dry_run"
    state: str = Field(description="running, succeeded or failed")
    reason: str = Field(description="Why it failed")
    listed: int = Field(description="Devices found so far")
    looked_at: int = Field(description="Devices looked at so far, once all are found")
    plan: ForecastView | None = Field(description="What is known so far; null before the first devices are found")
    created_at: datetime
    changed_at: datetime
