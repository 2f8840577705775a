"""What of a campaign request says when a cohort is held back, and how those that are are shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from shared.domain.cohorts import Quarantine, Quarantined
from shared.domain.waves import WaveSpec
from shared.wire.http_fields import InvalidRequest, RequestModel


class QuarantineRequest(RequestModel):
    """When devices of one hardware that came from one version are held back."""

    minimum: Annotated[int, Field(ge=1, le=1_000_000)] = Quarantine().minimum
    failure_percent: Annotated[float, Field(gt=0, le=100)] = Quarantine().failure_percent


class QuarantinedView(BaseModel):
    """A cohort that is held back."""

    hardware: str = Field(description="Empty where its devices do not say")
    version: str = Field(description="What they ran before; empty where they never said")
    state: str = Field(description="How they ended")
    code: str
    failures: int = Field(description="Devices with this end when that was found")
    ended: int = Field(description="Devices of the cohort that had ended then")
    at: datetime


def to_quarantine(request: QuarantineRequest | None, waves: Iterable[WaveSpec]) -> Quarantine | None:
    """The quarantine it means.

    Raises:
        InvalidRequest: A gate would stop the campaign before a cohort could show.
    """
    if request is None:
        return None
    quarantine = Quarantine(minimum=request.minimum, failure_percent=request.failure_percent)
    check_quarantine(quarantine, waves)
    return quarantine


def check_quarantine(quarantine: Quarantine | None, waves: Iterable[WaveSpec], *, first: int = 1) -> None:
    """Return if the waves' gates let a cohort show.

    Args:
        first: Number of the first of the waves.

    Raises:
        InvalidRequest: One would stop the campaign before.
    """
    if quarantine is None:
        return
    for number, wave in enumerate(waves, start=first):
        gate = wave.gate
        is_quick = gate.failure_percent == 0 and gate.minimum_completed < quarantine.minimum
        by_count = gate.failure_count is not None and gate.failure_count < quarantine.minimum
        if is_quick or by_count:
            raise InvalidRequest(
                f"quarantine.minimum: the gate of wave {number} stops before {quarantine.minimum} devices failed; "
                "give it a higher failure_percent, failure_count or minimum_completed"
            )


def view_quarantined(quarantined: Iterable[Quarantined]) -> list[QuarantinedView]:
    """The cohorts as they are shown."""
    return [
        QuarantinedView(
            hardware=each.cohort.hardware,
            version=each.cohort.version,
            state=each.end.state.value,
            code=each.end.code,
            failures=each.failures,
            ended=each.ended,
            at=each.at,
        )
        for each in quarantined
    ]
