"""What ``GET /campaigns/{id}`` answers about a wave, its gate and what the gate says."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field

from shared.domain.cohorts import Tally
from shared.domain.rollouts import RolloutState
from shared.domain.skips import SkipCounts
from shared.domain.verdicts import Verdict
from shared.domain.waves import DeviceCount, Matching, Percent, Wave, WaveSize


class GateView(BaseModel):
    """The gate of a wave. Percentages are of its devices without the skipped, cancelled and acknowledged ones."""

    success_percent: float = Field(description="The wave passes once this share succeeded")
    success_count: int | None = Field(description="It passes as well once this many succeeded")
    failure_percent: float | None = Field(description="The campaign stops once more than this share failed")
    failure_count: int | None = Field(description="The campaign stops once this many failed")
    rejected_percent: float | None = Field(description="The campaign stops once more than this share rejected")
    rejected_count: int | None = Field(description="The campaign stops once this many rejected the package")
    silent_percent: float | None = Field(description="The campaign stops once more than this share timed out")
    silent_count: int | None = Field(description="The campaign stops once this many timed out")
    minimum_completed: int = Field(description="No percentage stops the campaign before this many devices ended")
    confidence_percent: float | None = Field(
        description="Two-sided level at which percentages are judged; null: as seen"
    )
    soak_s: float = Field(description="Seconds between the success condition and the next wave")
    on_stop: str = Field(description="What becomes of the campaign once it stops it")


class CheckView(BaseModel):
    """One limit of a gate, held against what was seen."""

    rule: str = Field(description="The gate's field")
    seen: float = Field(description="Devices, or their share in percent")
    judged: float = Field(description="What was held against the limit: what was seen, or its confidence bound")
    limit: float
    holds: bool = Field(description="For success: reached; for the others: exceeded")


class VerdictView(BaseModel):
    """What a gate says about its wave, with the numbers it was judged by."""

    decision: str = Field(description="wait, pass or stop")
    counted: int = Field(description="Devices without the skipped, the cancelled and the acknowledged")
    ended: int
    succeeded: int
    failures: int = Field(description="Failed, rejected or regressed")
    silent: int = Field(description="Timed out")
    acknowledged: int = Field(description="Devices an operator took out of the count by resuming")
    skipped: dict[str, int] = Field(
        description="Why devices had been skipped, by code, to how many; empty in verdicts of older versions"
    )
    checks: list[CheckView]


class WaveView(BaseModel):
    """A wave: its part of the targets, how far it is, and what its gate says."""

    number: int
    name: str
    state: str
    size: str = Field(description="What was asked for: a number of devices, a share, the rest, or a condition")
    devices: int
    batches: int = Field(description="Device batches it is cut into")
    dispatched: int = Field(description="Device batches put on the queue so far")
    counters: dict[str, int] = Field(description="Rollout state to the number of devices in it; zeros left out")
    skipped: dict[str, int] = Field(
        description="Why its devices are skipped, by code, to how many; those that an older version skipped are missing"
    )
    gate: GateView
    verdict: str = Field(description="The gate's sentence about it, now or when it ended")
    judged: VerdictView | None = Field(description="The numbers behind it; null before the gate has spoken")
    acknowledged_failures: int = Field(description="Failures an operator accepted by resuming")
    acknowledged_silent: int = Field(description="Silent devices an operator accepted by resuming")
    started_at: datetime | None
    soak_until: datetime | None
    ended_at: datetime | None


def view_wave(wave: Wave, tally: Tally, verdict: Verdict | None) -> WaveView:
    """A wave.

    Args:
        verdict: What its gate says now; None where it is not asked, and the verdict that ended the wave stands.
    """
    judged = verdict or wave.verdict
    return WaveView(
        number=wave.number,
        name=wave.spec.name,
        state=wave.state.value,
        size=_size(wave.spec.size),
        devices=wave.devices,
        batches=wave.batches,
        dispatched=wave.dispatched,
        counters={state.value: count for state, count in tally.counters.by_state.items() if count},
        skipped=_view_skips(tally.skips),
        gate=GateView(**asdict(wave.spec.gate)),
        verdict=verdict.reason if verdict else wave.reason,
        judged=_view_verdict(judged) if judged else None,
        acknowledged_failures=wave.acknowledged.failures,
        acknowledged_silent=wave.acknowledged.of(RolloutState.TIMED_OUT),
        started_at=wave.started_at,
        soak_until=wave.soak_until,
        ended_at=wave.ended_at,
    )


def _view_verdict(verdict: Verdict) -> VerdictView:
    fields = {name: getattr(verdict, name) for name in VerdictView.model_fields if name not in ("checks", "skipped")}
    checks = [CheckView(**{name: getattr(check, name) for name in CheckView.model_fields}) for check in verdict.checks]
    return VerdictView(**fields, skipped=_view_skips(verdict.skips or SkipCounts()), checks=checks)


def _view_skips(skips: SkipCounts) -> dict[str, int]:
    return {reason.value: count for reason, count in skips.by_reason.items()}


def _size(size: WaveSize) -> str:
    match size:
        case DeviceCount(devices=devices):
            return f"{devices} devices"
        case Percent(percent=percent):
            return f"{percent:g} %"
        case Matching(condition=condition):
            return f"devices where {condition}"
        case _:
            return "rest"
