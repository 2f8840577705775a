"""What a campaign will take: time under the hub's throttle, calls, bytes. Pure arithmetic over stated inputs.

Times are lower bounds: how long devices take, and whether a gate waits for slow ones, nobody knows beforehand.
Counts of reports, table transactions and events are upper bounds: reports that come together are folded together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from shared.domain.pacing import CHARGE_PER_DEVICE, HORIZON_S, REPORTS_PER_DEVICE
from shared.domain.prices import Meter
from shared.domain.rates import ExponentialRate, Pace, batch_devices, per_minute, seconds_per_device
from shared.domain.telemetry_volume import telemetry_rows
from shared.domain.window_waits import earliest_opening
from shared.domain.windows import Window

HUB_MESSAGES_PER_DEVICE = 3 + REPORTS_PER_DEVICE
"""Our twin write, the notification and the twin that the device gets, and its reports; each is metered in 4 KB steps
(IoT Hub developer guide, pricing)."""

CLAIM_TRANSACTIONS, DISPATCH_TRANSACTIONS, VISIT_TRANSACTIONS = 4, 4, 4
"""Table calls per device batch: claiming reads and writes device rows, looks at holders and makes rollout rows;
dispatch looks at campaign and package, marks and stamps; two visits read, and the last settles device rows."""

MESSAGES_PER_BATCH = 3
"""Its offers, the visit when its first deadline may pass, and the one when its wave has ended."""

FOLD_TRANSACTIONS = 2
"""A report that comes alone: its row and counters are read, and written in one transaction."""

METADATA_FETCHES = 5
"""Root, timestamp, snapshot, targets and one bin: what a device asks of the index before an update."""

BUS_OPERATIONS_PER_MESSAGE = 3
"""Send, receive, complete (Service Bus pricing counts each call)."""

_CLAIMED_PER_STEP = 20
_ASKED_PER_STEP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRoom:
    """What the hub's budget leaves.

    Attributes:
        rate_per_s: Twin updates per second that may be planned now.
        ceiling_per_s: What the hub's tier and units allow.
        backlog_s: Seconds that other campaigns have reserved already.
        messages_per_day: The daily quota of the hub's tier and units.
        bandwidth_bytes_per_s: What all devices together may fetch; None: no bound.
    """

    rate_per_s: float
    ceiling_per_s: float
    backlog_s: float = 0.0
    messages_per_day: int | None = None
    bandwidth_bytes_per_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveLoad:
    """A wave as far as its time and calls go.

    Attributes:
        offers: Devices that will get an offer; the others are held or left out.
        batches: Device batches; None where the devices are not known one by one.
        waits_for_devices: Whether its gate asks for successes.
    """

    number: int
    name: str
    devices: int
    offers: int
    batches: int | None = None
    soak_s: float = 0.0
    waits_for_devices: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastInputs:
    """Everything a forecast follows from.

    Attributes:
        package_bytes: Length of the package; of several, of the largest.
        variants: How many packages there are, of which each device gets one.
        mean_bytes: What a device fetches, in the mean; None: as much as the largest package.
        listing_steps: Campaign steps that list the targets.
        asked: Devices whose twins are read while it is planned; each reading is a message of the hub's quota.
        begins_at: When the first wave may start, aware UTC.
    """

    waves: Sequence[WaveLoad]
    hub: HubRoom
    package_bytes: int
    windows: Sequence[Window] = ()
    pace: Pace = field(default_factory=Pace)
    variants: int = 1
    mean_bytes: float | None = None
    listing_steps: int = 0
    asked: int = 0
    begins_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveForecast:
    """A wave in time; seconds count from the campaign's beginning.

    Attributes:
        dispatch_s: How long its offers take under the throttle and the campaign's own pace.
        window_wait_s: How long its devices wait at least for a window once all have their offer.
        ends_after_s: When it can have passed at the earliest, its soak included.
    """

    load: WaveLoad
    batches: int
    starts_after_s: float
    dispatch_s: float
    window_wait_s: float
    ends_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the campaign asks of the services.

    Attributes:
        telemetry_rows: Rows in the Log Analytics workspace at most, of service and host.
        telemetry_bytes: What it charges for them at most.
    """

    twin_writes: int
    device_reports: int
    hub_messages: int
    queue_messages: int
    table_transactions: int
    events: int
    signatures: int
    egress_bytes: int
    function_executions: int
    telemetry_rows: int
    telemetry_bytes: int

    def by_meter(self) -> dict[Meter, Decimal | None]:
        """The quantities that are billed by use; None where that depends on what is not known here."""
        return {
            Meter.EGRESS_GB: Decimal(self.egress_bytes) / 10**9,
            Meter.SERVICE_BUS_OPERATIONS: Decimal(self.queue_messages * BUS_OPERATIONS_PER_MESSAGE),
            Meter.EVENT_GRID_OPERATIONS: Decimal(2 * self.events),
            Meter.EVENT_HUBS_EVENTS: Decimal(self.device_reports),
            Meter.TABLE_TRANSACTIONS: Decimal(self.table_transactions),
            Meter.BLOB_READS: Decimal(self.twin_writes * (1 + METADATA_FETCHES)),
            Meter.SIGNATURES: Decimal(self.signatures),
            Meter.FUNCTION_EXECUTIONS: Decimal(self.function_executions),
            Meter.FUNCTION_GB_SECONDS: None,
            Meter.LOG_ANALYTICS_GB: Decimal(self.telemetry_bytes) / 10**9,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a campaign will take."""

    hub: HubRoom
    waves: tuple[WaveForecast, ...]
    usage: Usage

    @property
    def duration_s(self) -> float:
        """From its beginning until its last wave can have passed."""
        return self.waves[-1].ends_after_s if self.waves else 0.0

    @property
    def dispatch_s(self) -> float:
        """Seconds of the hub's throttle that it takes in all."""
        return sum(wave.dispatch_s for wave in self.waves)


def forecast(inputs: ForecastInputs) -> Forecast:
    """The forecast that follows from the inputs."""
    waves: list[WaveForecast] = []
    at_s, before = inputs.hub.backlog_s, 0
    for load in inputs.waves:
        waves.append(_forecast_wave(load, at_s, before, inputs))
        at_s, before = waves[-1].ends_after_s, before + load.offers
    return Forecast(hub=inputs.hub, waves=tuple(waves), usage=_usage(inputs, waves))


def _forecast_wave(load: WaveLoad, starts_after_s: float, before: int, inputs: ForecastInputs) -> WaveForecast:
    dispatch_s = slots_s(load.devices, before, inputs)
    offered = inputs.begins_at + timedelta(seconds=starts_after_s + dispatch_s)
    wait_s = _window_wait_s(inputs.windows, offered) if load.waits_for_devices and load.offers else 0.0
    soak_s = load.soak_s if load.devices else 0.0
    return WaveForecast(
        load=load,
        batches=load.batches or math.ceil(load.devices / batch_devices(inputs.pace, inputs.package_bytes)),
        starts_after_s=starts_after_s,
        dispatch_s=dispatch_s,
        window_wait_s=wait_s,
        ends_after_s=starts_after_s + dispatch_s + wait_s + soak_s,
    )


def slots_s(devices: int, before: int, inputs: ForecastInputs) -> float:
    """How long so many offers take, under the hub's throttle and the campaign's own pace, if all ``before`` them
    succeeded, and each of their own at once."""
    hub, seconds, done, end = inputs.hub, 0.0, before, before + devices
    wire_s = inputs.package_bytes / hub.bandwidth_bytes_per_s if hub.bandwidth_bytes_per_s else 0.0
    shared_s = max(CHARGE_PER_DEVICE / hub.rate_per_s, wire_s)
    while done < end:
        device_s = max(shared_s, seconds_per_device(inputs.pace, inputs.package_bytes, done))
        chunk = min(end - done, _devices_until_faster(inputs.pace, done))
        seconds, done = seconds + chunk * device_s, done + chunk
    return seconds


def _devices_until_faster(pace: Pace, succeeded: int) -> int:
    rate = pace.rate
    if not isinstance(rate, ExponentialRate) or rate.factor <= 1:
        return sys.maxsize
    if per_minute(rate, succeeded) >= rate.maximum_per_minute:
        return sys.maxsize
    return rate.after_succeeded - succeeded % rate.after_succeeded


def _window_wait_s(windows: Sequence[Window], at: datetime) -> float:
    if not windows or (opening := earliest_opening(windows, at)) is None:
        return 0.0
    return (opening - at).total_seconds()


def _usage(inputs: ForecastInputs, waves: Sequence[WaveForecast]) -> Usage:
    offers = sum(load.offers for load in inputs.waves)
    reports = offers * REPORTS_PER_DEVICE
    batches = sum(wave.batches for wave in waves)
    steps = inputs.listing_steps + 1 + inputs.asked // _ASKED_PER_STEP + sum(_steps(wave) for wave in waves)
    messages = steps + MESSAGES_PER_BATCH * batches
    transactions = batches * (CLAIM_TRANSACTIONS + DISPATCH_TRANSACTIONS + VISIT_TRANSACTIONS)
    # A campaign step reads the campaign with its waves and writes it.
    transactions += reports * FOLD_TRANSACTIONS + steps * 2
    # Each report may call the relay and the fold by itself; each device asks for metadata and with its ticket.
    executions = messages + 2 * reports + offers * (METADATA_FETCHES + 1)
    telemetry = telemetry_rows(executions=executions, reports=reports, batches=batches)
    return Usage(
        twin_writes=offers,
        device_reports=reports,
        hub_messages=offers * HUB_MESSAGES_PER_DEVICE + inputs.asked,
        queue_messages=messages,
        table_transactions=transactions,
        events=reports,
        # Each package that is present in a batch has an intent of its own.
        signatures=min(batches * inputs.variants, max(batches, offers)),
        egress_bytes=round(offers * (inputs.package_bytes if inputs.mean_bytes is None else inputs.mean_bytes)),
        function_executions=executions,
        telemetry_rows=telemetry.all,
        telemetry_bytes=telemetry.billed_bytes,
    )


def _steps(wave: WaveForecast) -> int:
    """Campaign steps: claiming, starting, dispatching by the minute, and looking at the gate at most once a second."""
    claims = math.ceil(wave.batches / _CLAIMED_PER_STEP) + 1
    dispatches = max(1, math.ceil(wave.dispatch_s / HORIZON_S))
    looks = min(wave.load.offers * REPORTS_PER_DEVICE, math.ceil(wave.dispatch_s) + REPORTS_PER_DEVICE) + 2
    return claims + 1 + dispatches + looks
