"""A campaign under random operators, devices, deaths and queues: what must hold holds after every step (I3, I4, I5)."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import DomainError
from shared.domain.hub_queries import query_where
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import FINAL, REPORTABLE, TRANSITIONS, Rollout, RolloutState
from shared.domain.steps_by_operators import OperatorAction
from shared.handlers.edit_waves import edit_waves
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_wave_edits import read_waves_request
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.memory_rollouts import counters_of
from tests.support.mortal import Died, Faults

C, S = CampaignState, RolloutState
UNTOUCHED = frozenset({S.PLANNED, S.SKIPPED, S.CANCELLED})
MOST_WAVES = 12
RING, VIP = "tags.ring = 'beta'", "tags.vip = true"
ENDINGS = (OperatorAction.CANCEL, OperatorAction.FORCE_CANCEL, OperatorAction.REVERT)
DEEDS = [*[action for action in OperatorAction if action not in ENDINGS] * 4, *[OperatorAction.RESUME] * 6, *ENDINGS]
"""Few give up, so that campaigns live long enough for something to happen to them."""

SAYABLE = REPORTABLE | {S.TIMED_OUT, S.REGRESSED}

percentages = st.none() | st.sampled_from([0.0, 10.0, 50.0])
gates = st.fixed_dictionaries(
    {
        "success_percent": st.sampled_from([0.0, 50.0, 90.0, 100.0]),
        "failure_percent": percentages,
        "silent_percent": percentages,
        "soak_s": st.sampled_from([0.0, 300.0]),
        "on_stop": st.sampled_from(["pause", "pause", "pause", "abort", "revert"]),
    }
)
sizes = st.integers(1, 3).map(lambda devices: {"count": devices}) | st.just({"percent": 30.0})
waves = st.lists(st.tuples(sizes, gates).map(lambda drawn: drawn[0] | {"gate": drawn[1]}), max_size=3)
filtered = st.none() | st.tuples(st.sampled_from([RING, VIP]), gates).map(
    lambda drawn: {"filter": drawn[0], "gate": drawn[1]}
)
outcomes = st.lists(st.sampled_from([S.SUCCEEDED, S.SUCCEEDED, S.FAILED, S.REJECTED, None]), min_size=1, max_size=6)
approvals = st.fixed_dictionaries({"required": st.integers(1, 2), "between_waves": st.booleans()})
minutes = st.integers(1, 90).map(lambda after: (NOON + timedelta(minutes=after)).isoformat())
schedules = st.fixed_dictionaries({"end_at": minutes, "at_end": st.sampled_from(["pause", "cancel"])}) | minutes.map(
    lambda start: {"start_at": start}
)
retries = st.just({"maximum": 2, "backoff_s": 120, "timed_out": True})
quarantines = st.just({"minimum": 2, "failure_percent": 60})
policies = st.fixed_dictionaries(
    {}, optional={"approval": approvals, "schedule": schedules, "quarantine": quarantines, "retries": retries}
)
faults = st.builds(
    Faults,
    duplicated=st.sampled_from([0.0, 0.3]),
    dropped=st.sampled_from([0.0, 0.3]),
    reordered=st.booleans(),
    seed=st.integers(0, 99),
)


class CampaignMachine(RuleBasedStateMachine):
    """One campaign, and everything that may happen to it in any order."""

    world: CampaignWorld
    id: CampaignId

    @initialize(
        size=st.integers(1, 14),
        waves=waves,
        last=gates,
        outcomes=outcomes,
        faults=faults,
        slow=st.booleans(),
        policies=policies,
        ring=filtered,
    )
    def post(
        self,
        size: int,
        waves: list[dict[str, Any]],
        last: dict[str, Any],
        outcomes: list[RolloutState | None],
        faults: Faults,
        slow: bool,
        policies: dict[str, Any],
        ring: dict[str, Any] | None,
    ) -> None:
        devices = fleet(size)
        becomes = {DeviceId(device): outcomes[at % len(outcomes)] for at, device in enumerate(devices)}
        self.world = CampaignWorld(
            devices, outcome=becomes.__getitem__, faults=faults, page_size=5, rate_per_s=1.0 if slow else 500.0
        )
        self.world.describe = _described
        self.world.packages.publish("thermostat", "1.0.0")
        self.world.directory.answers = {
            query_where(RING): devices[1::3],
            query_where(VIP): [*devices[2:6], "elsewhere"],
        }
        asked = {"waves": [*([ring] if ring else []), *waves, {"rest": True, "gate": last}], **policies}
        self.id = self._post(asked, asked | {"quarantine": None}).id
        self.rows: dict[DeviceId, Rollout] = {}
        self.paused: set[tuple[DeviceId, int]] | None = None
        # Left alone at first, most campaigns come to their first offers.
        if size > 3:
            self.world.run(lambda: bool(self.world.starts), hours=1)

    def _post(self, *requests: dict[str, Any]) -> Campaign:
        """The first of the requests that is taken: not every gate lets a cohort show."""
        for request in requests[:-1]:
            with suppress(InvalidRequest):
                return self.world.post(key="once", **request)
        return self.world.post(key="once", **requests[-1])

    @rule(steps=st.integers(1, 60))
    def go_on(self, steps: int) -> None:
        """Messages are delivered, lost or doubled, and time passes."""
        taken = count()
        self.world.run(lambda: next(taken) >= steps)

    @rule(action=st.sampled_from(DEEDS), wave=st.integers(1, 4), who=st.sampled_from(["grace", "linus"]))
    def act(self, action: OperatorAction, wave: int, who: str) -> None:
        """An operator does something, fitting or not; what was held still before may move now."""
        with suppress(DomainError, Died):
            self.world.act(self.id, action, who=who, wave=wave if action is OperatorAction.SKIP_WAVE else None)
        self.paused = None

    @rule(tail=waves, last=gates, ring=filtered, at=st.integers(0, 2))
    def edit(self, tail: list[dict[str, Any]], last: dict[str, Any], ring: dict[str, Any] | None, at: int) -> None:
        """An operator pauses the campaign and edits the waves that have not begun, where that fits."""
        self.act(OperatorAction.PAUSE, 1, "grace")
        asked = [*tail, {"rest": True, "gate": last}]
        if ring:
            asked.insert(min(at, len(asked)), ring)
        request = read_waves_request(json.dumps({"waves": asked}).encode())
        with suppress(DomainError, Died):
            edit_waves(self.id, request, self.world.ports, who="grace", now=self.world.now)

    @rule(which=st.integers(0, 13), state=st.sampled_from(sorted(SAYABLE)))
    def report(self, which: int, state: RolloutState) -> None:
        """A device that has its offer says something, or is found silent."""
        started = {wave.number for wave in self.world.campaign(self.id).waves if wave.started_at is not None}
        able = [row for row in self.world.rollouts.rows(self.id).values() if row.wave in started]
        rows = sorted((row for row in able if state in TRANSITIONS[row.state]), key=lambda row: row.device)
        if rows:
            row = rows[which % len(rows)]
            self.world.set_state(row, state)
            if self.paused is not None:
                # One that was cancelled may say late how it ended: that is no offer.
                self.paused |= {(row.device, row.attempt)}

    @rule(writes=st.integers(0, 6), after=st.booleans())
    def die_soon(self, writes: int, after: bool) -> None:
        """The process dies at one of its next writes."""
        self.world.life.left, self.world.life.dies_after_the_write = writes, after

    @invariant()
    def counters_equal_rows(self) -> None:
        """Counters of waves that an edit removed are empty."""
        rows = list(self.world.rollouts.rows(self.id).values())
        for wave in range(1, MOST_WAVES + 1):
            counted = self.world.rollouts.read_counters(self.id, wave, self.world.shards)
            expected = counters_of([row for row in rows if row.wave == wave])
            assert {state: counted.of(state) for state in S} == {state: expected.of(state) for state in S}
        if self.world.campaign(self.id).planning.phase is PlanningPhase.DONE:
            self.world.check_counters(self.id)

    @invariant()
    def nothing_is_offered_behind_a_closed_gate(self) -> None:
        """That gates open in order and once is checked by the world at each save."""
        started = {wave.number for wave in self.world.campaign(self.id).waves if wave.started_at is not None}
        for row in self.world.rollouts.rows(self.id).values():
            if row.wave not in started:
                assert row.state in UNTOUCHED, row

    @invariant()
    def nothing_is_offered_while_the_campaign_is_paused(self) -> None:
        if self.world.campaign(self.id).state is not C.PAUSED:
            self.paused = None
            return
        offered = {
            (row.device, row.attempt)
            for row in self.world.rollouts.rows(self.id).values()
            if row.state not in UNTOUCHED
        }
        assert self.paused is None or offered <= self.paused
        self.paused = offered

    @invariant()
    def targets_are_in_one_batch_of_one_wave(self) -> None:
        campaign = self.world.campaign(self.id)
        if campaign.planning.phase is not PlanningPhase.DONE:
            return
        spans = [(wave.start, wave.stop) for wave in campaign.waves]
        ends = [0, *(stop for _, stop in spans)]
        assert [start for start, _ in spans] == ends[:-1]
        assert ends[-1] == campaign.targets
        batches = [
            batch
            for wave in campaign.waves
            for batch in self.world.manifests.read_batches(self.id, wave.number)[: wave.batches]
        ]
        assert sum(batch.count for batch in batches) == campaign.targets

    @invariant()
    def ends_are_ends(self) -> None:
        """Between two looks an outcome may have changed more than once, but only ever along the table."""
        rows = self.world.rollouts.rows(self.id)
        for device, before in self.rows.items():
            after = rows[device]
            if before.state in FINAL and after.attempt == before.attempt:
                assert after.state is before.state or after.state in _reachable(before.state), (before, after)
        self.rows = dict(rows)

    def teardown(self) -> None:
        """Left alone it comes to rest, and its audit log is whole and re-derives every verdict."""
        if not hasattr(self, "world"):
            return
        self.world.life.left = None
        self.world.run()
        self.counters_equal_rows()
        self.nothing_is_offered_behind_a_closed_gate()
        for campaign in self.world.campaigns_known():
            self.world.check_audit(campaign)


def _reachable(state: RolloutState) -> set[RolloutState]:
    """States that may follow a final one, one correction after the other."""
    found: set[RolloutState] = set()
    front = {state}
    while front:
        front = {after for before in front for after in TRANSITIONS[before]} - found
        found |= front
    return found


def _described(row: Rollout) -> Rollout:
    """What the reports of a device add to its row: two kinds of hardware."""
    hardware = "mk2" if shard_of(row.device, 3) == 0 else "mk3"
    return replace(row, hardware=hardware, former_version="1.0.0", code="disk" if row.state is S.FAILED else row.code)


CampaignMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=25)
TestCampaign = CampaignMachine.TestCase
