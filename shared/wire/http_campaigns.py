"""What operators post to ``/campaigns``, checked field by field, and the campaign specification it means."""

from __future__ import annotations

import hashlib
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.domain.campaign_specs import CampaignSpec, Deadlines, OnLateFailure
from shared.domain.conflicts import DEFAULT_PRIORITY
from shared.domain.ids import DeviceId
from shared.domain.plan_checks import sizes_of
from shared.domain.retries import Retries
from shared.domain.waves import WaveSpec
from shared.domain.windows import MAX_WINDOWS
from shared.wire.http_approvals import ApprovalRequest
from shared.wire.http_conflicts import OnConflictWord, Priority, to_precedence
from shared.wire.http_fields import InvalidRequest, Name, RequestModel, complaints, exactly_one
from shared.wire.http_policies import DeadlinesRequest, WindowRequest
from shared.wire.http_quarantine import QuarantineRequest, to_quarantine
from shared.wire.http_rates import Bandwidth, RateRequest, to_pace
from shared.wire.http_retention import RetentionDays
from shared.wire.http_retries import RetriesRequest
from shared.wire.http_schedules import ScheduleRequest
from shared.wire.http_targets import PackageRequest, TargetsRequest
from shared.wire.http_variants import PackagesField, to_package_targets
from shared.wire.http_waves import MAX_WAVES, GateRequest, WaveRequest, check_cover, refuse_impossible


class CampaignRequest(RequestModel):
    """A campaign as an operator asks for it. Without ``waves`` all targets are one wave."""

    model_config = ConfigDict(json_schema_extra=exactly_one(package="object", packages="array"))

    name: Name
    package: PackageRequest | None = None
    packages: PackagesField | None = None
    targets: TargetsRequest
    waves: Annotated[list[WaveRequest], Field(min_length=1, max_length=MAX_WAVES)] = Field(
        default_factory=lambda: [WaveRequest(rest=True)]
    )
    gate: GateRequest = GateRequest()
    deadlines: DeadlinesRequest = DeadlinesRequest()
    allow_downgrade: bool = False
    windows: Annotated[list[WindowRequest], Field(max_length=MAX_WINDOWS)] = Field(default_factory=list)
    retries: RetriesRequest | None = None
    on_late_failure: OnLateFailure = OnLateFailure.PAUSE
    rate: RateRequest | None = None
    bandwidth_bytes_per_s: Bandwidth | None = None
    quarantine: QuarantineRequest | None = None
    priority: Priority = DEFAULT_PRIORITY
    on_conflict: OnConflictWord = "skip"
    approval: ApprovalRequest | None = None
    schedule: ScheduleRequest | None = None
    retention_days: RetentionDays | None = None

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.package is None) == (self.packages is None):
            raise ValueError("give exactly one of package and packages")
        return self

    @property
    def devices(self) -> list[DeviceId]:
        """The ids given one by one, in their order, repeats removed; empty for a query."""
        return self.targets.named_devices

    @property
    def sha256(self) -> str:
        """Hex digest of everything asked but the defaults, so that a later field does not make it another request."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    @property
    def wave_specs(self) -> tuple[WaveSpec, ...]:
        """The waves it means."""
        gate = self.gate.to_gate()
        return tuple(wave.to_wave(number, gate) for number, wave in enumerate(self.waves, start=1))

    def to_spec(self) -> CampaignSpec:
        """The specification it means."""
        waves = self.wave_specs
        first, *others = to_package_targets(self.package, self.packages)
        return CampaignSpec(
            name=self.name,
            package=first,
            other_packages=tuple(others),
            targets=self.targets.to_targets(),
            waves=waves,
            deadlines=Deadlines(**self.deadlines.model_dump()),
            allow_downgrade=self.allow_downgrade,
            windows=tuple(window.to_window() for window in self.windows),
            on_late_failure=self.on_late_failure,
            retries=self.retries.to_retries() if self.retries else Retries(),
            targeting=self.targets.to_targeting(),
            pace=to_pace(self.rate, self.bandwidth_bytes_per_s),
            precedence=to_precedence(self.priority, self.on_conflict),
            quarantine=to_quarantine(self.quarantine, waves),
            approval=self.approval.to_policy() if self.approval else None,
            schedule=self.schedule.to_schedule() if self.schedule else None,
            retention_days=self.retention_days,
        )


def read_campaign_request(body: bytes) -> CampaignRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, or fields are missing, unknown or out of bounds.
    """
    try:
        request = CampaignRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error
    check_together(request)
    return request


def check_together(request: CampaignRequest) -> None:
    """Return if the parts of a request, each right by itself, can be kept together.

    Raises:
        InvalidRequest: They cannot.
    """
    check_waves(request)
    request.to_spec()


def check_waves(request: CampaignRequest) -> None:
    """Return if the waves can hold the targets, as far as these are known: once a list is read, more is.

    Raises:
        InvalidRequest: They cannot.
    """
    waves, most = request.wave_specs, request.targets.most_devices
    refuse_impossible(waves, sizes_of(waves, most))
    check_cover(waves, most)
