"""An approval is for one plan: whatever makes it another one changes its digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.gates import Gate
from shared.domain.ids import DeviceId
from shared.domain.plans import digest_plan
from shared.domain.reversions import Reversion
from tests.support.made_campaigns import make_campaign, make_variant, with_packages
from tests.support.rollouts import NOON

PLANNED = make_campaign([DeviceId("a"), DeviceId("b"), DeviceId("c")])
MIXED = with_packages(PLANNED, [make_variant("fw-a", "gw-1"), make_variant("fw-b", "gw-2")])
ORDER = Reversion(ordered_at=NOON, devices={"1.0.0": 3}, digests={"1.0.0": "1" * 64})
BACK = replace(PLANNED, reversion=ORDER)


def gated(campaign: Campaign, gate: Gate) -> Campaign:
    [wave] = campaign.waves
    return campaign.with_wave(replace(wave, spec=replace(wave.spec, gate=gate)))


def cut(campaign: Campaign, **span: int) -> Campaign:
    return campaign.with_wave(replace(campaign.waves[0], **span))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "other"),
    [
        (PLANNED, lambda plan: replace(plan, package=replace(plan.package, sha256="6" * 64))),
        (PLANNED, lambda plan: replace(plan, spec=replace(plan.spec, allow_downgrade=True))),
        (PLANNED, lambda plan: replace(plan, targets=4)),
        (PLANNED, lambda plan: replace(plan, planning=replace(plan.planning, skipped=1))),
        (PLANNED, lambda plan: replace(plan, planning=replace(plan.planning, current=1))),
        (PLANNED, lambda plan: replace(plan, planning=replace(plan.planning, manifest_sha256="1" * 64))),
        (PLANNED, lambda plan: gated(plan, Gate(failure_percent=1))),
        (PLANNED, lambda plan: cut(plan, stop=2)),
        (PLANNED, lambda plan: cut(plan, batches=2)),
        (MIXED, lambda plan: with_packages(plan, [plan.packages[0], make_variant("fw-c", "gw-2")])),
        (MIXED, lambda plan: replace(plan, planning=replace(plan.planning, by_variant=(2, 1)))),
        (MIXED, lambda plan: replace(plan, planning=replace(plan.planning, no_package=1))),
        (PLANNED, lambda plan: replace(plan, reversion=ORDER)),
        (BACK, lambda plan: replace(plan, reversion=replace(ORDER, number=2))),
        (BACK, lambda plan: replace(plan, reversion=replace(ORDER, devices={"1.0.0": 2}))),
        (BACK, lambda plan: replace(plan, reversion=replace(ORDER, digests={"1.0.0": "2" * 64}))),
        (BACK, lambda plan: replace(plan, targets=4)),
    ],
)
def test_whatever_goes_to_somebody_else_or_otherwise_is_another_plan(
    plan: Campaign, other: Callable[[Campaign], Campaign]
) -> None:
    assert digest_plan(other(plan)) != digest_plan(plan)


def test_how_far_it_is_and_why_belongs_to_no_plan() -> None:
    further = replace(PLANNED, state=CampaignState.PAUSED, reason="hm", step=9).with_wave(
        replace(PLANNED.waves[0], dispatched=1, started_at=NOON, reason="all is well")
    )
    assert digest_plan(further) == digest_plan(PLANNED)
