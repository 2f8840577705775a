"""A whole campaign in memory: the real control plane, a scripted data plane, queues that misbehave, and a clock."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cli.audit_log import Checked, check_log, read_log
from shared.domain.campaigns import CAMPAIGN_TRANSITIONS, Campaign, CampaignState
from shared.domain.devices import release
from shared.domain.errors import DomainError
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.retries import RETRYABLE, open_attempt, retry_if_wanted
from shared.domain.rollouts import FINAL, Rollout, RolloutState, move
from shared.domain.starting import may_offer, missing_approvals
from shared.domain.steps_by_operators import OperatorAction
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DONE_WAVES, WAVE_TRANSITIONS, WaveState
from shared.handlers.act_on_campaign import act_on_campaign
from shared.handlers.advance_campaign import advance_campaign
from shared.handlers.audit_desk import AuditDesk
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.create_campaign import create_campaign
from shared.handlers.find_ready import find_ready
from shared.handlers.join_newcomers import join_newcomers
from shared.handlers.mark_offers import mark_offers
from shared.handlers.resume_campaigns import resume_campaigns
from shared.handlers.show_campaigns import ViewPorts
from shared.handlers.spec_desk import SpecDesk
from shared.handlers.take_over import TakeOverPorts, look_again_s
from shared.handlers.wakeups import offers_in_turn, request_attempts, request_evaluation, request_work_later
from shared.ports.bus import Queue
from shared.ports.errors import PortError
from shared.ports.rollouts import RolloutChange
from shared.trust.signers import KeyRole
from shared.wire.http_actions import ActionRequest
from shared.wire.http_audit import view_audit_record
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.messages import BatchWork, read_batch_visit, read_batch_work, read_campaign_step
from tests.support.campaign_sources import NOON, MemoryDirectory, Packages
from tests.support.memory_bus import MemoryBus, MemoryEvents, Waiting
from tests.support.memory_campaigns import (
    MemoryAuditRecords,
    MemoryBudget,
    MemoryCampaigns,
    MemoryManifests,
    MemoryStops,
)
from tests.support.memory_hub import MemoryHub
from tests.support.memory_keys import MemoryKeyRing
from tests.support.memory_rollouts import MemoryDevices, MemoryRollouts, counters_of
from tests.support.memory_targets import MemoryGroups, MemoryTargetLists
from tests.support.mortal import Died, Faults, Life, Mortal

S = RolloutState
RESUME_EVERY = timedelta(minutes=1)


class CampaignWorld:
    """Everything around one hub.

    Attributes:
        outcome: What becomes of a device that is offered the package; None for a device that stays silent.
        describe: What a row says besides its state, once a device has reported.
        stores: Stores to use in place of the ones in memory, by the name of the attribute.
    """

    def __init__(
        self,
        devices: Iterable[str] = (),
        *,
        outcome: Callable[[DeviceId], RolloutState | None] = lambda _device: S.SUCCEEDED,
        faults: Faults | None = None,
        life: Life | None = None,
        shards: int = 2,
        rate_per_s: float = 500.0,
        page_size: int = 100,
        stores: Mapping[str, Any] | None = None,
    ) -> None:
        self.now = NOON
        self.shards = shards
        self.outcome = outcome
        self.faults = faults or Faults()
        self.life = life or Life()
        self.bus = MemoryBus(NOON)
        self.events = MemoryEvents()
        self.rollouts = MemoryRollouts()
        self.device_rows = MemoryDevices()
        self.campaigns = MemoryCampaigns(self._check_save)
        self.manifests = MemoryManifests()
        self.budget = MemoryBudget(rate_per_s)
        self.stops = MemoryStops()
        self.audit_records = MemoryAuditRecords()
        self.packages = Packages()
        self.keys = MemoryKeyRing()
        self.keys.add(KeyRole.SPECS)
        self.directory = MemoryDirectory(devices, page_size)
        self.twins = MemoryHub()
        self.groups = MemoryGroups()
        self.lists = MemoryTargetLists()
        for name, store in (stores or {}).items():
            setattr(self, name, store)
        self.ports = self._mortal_ports()
        self.describe: Callable[[Rollout], Rollout] = lambda row: row
        self.starts: list[tuple[CampaignId, int]] = []
        self.refused: list[DomainError] = []
        self._random = random.Random(self.faults.seed)
        self._next_resume = NOON + RESUME_EVERY

    def _mortal_ports(self) -> CampaignPorts:
        mortal: dict[str, Any] = {
            "campaigns": self.campaigns,
            "manifests": self.manifests,
            "budget": self.budget,
            "stops": self.stops,
            "rollouts": self.rollouts,
            "devices": self.device_rows,
            "directory": self.directory,
            "twins": self.twins,
            "groups": self.groups,
            "lists": self.lists,
            "sender": self.bus,
            "publisher": self.events,
            "packages": self.packages,
        }
        specs = SpecDesk(self.keys)
        audit = AuditDesk(Mortal(self.audit_records, self.life), self.keys)
        ports = {name: Mortal(port, self.life) for name, port in mortal.items()}
        return CampaignPorts(specs=specs, audit=audit, **ports)

    @property
    def view_ports(self) -> ViewPorts:
        """What looking at a campaign needs."""
        return ViewPorts(
            campaigns=self.campaigns,
            rollouts=self.rollouts,
            stops=self.stops,
            budget=self.budget,
            packages=self.packages,
            clock=lambda: self.now,
        )

    @property
    def audit(self) -> AuditDesk:
        """The audit log as its readers see it."""
        return AuditDesk(self.audit_records, self.keys)

    # What operators do.

    def post(self, *, key: str | None = None, who: str = "ada", **request: Any) -> Campaign:
        """Post a campaign over all devices; arguments replace fields of the request."""
        document = {
            "name": "spring",
            "package": {"name": "thermostat", "version": "2.0.0"},
            "targets": {"query": "SELECT * FROM devices"},
        } | request
        return create_campaign(
            read_campaign_request(json.dumps(document).encode()),
            self.ports,
            idempotency_key=key,
            requested_by=who,
            shards=self.shards,
            now=self.now,
        )

    def act(self, campaign: CampaignId, action: str, *, who: str = "grace", **said: Any) -> Campaign:
        return act_on_campaign(
            campaign, OperatorAction(action), self.ports, now=self.now, who=who, said=ActionRequest(**said)
        )

    def campaign(self, campaign: CampaignId) -> Campaign:
        return self.campaigns.get(campaign).value

    def campaigns_known(self) -> set[CampaignId]:
        return {campaign.id for campaign in self.campaigns.list_page(size=1000).items}

    # The world going on.

    def run(self, until: Callable[[], bool] = lambda: False, *, hours: float = 6, steps: int = 20_000) -> None:
        """Deliver messages and pass time until the condition holds, or nothing is left to happen."""
        end = self.now + timedelta(hours=hours)
        for _ in range(steps):
            if until() or not self._go_on(end):
                return
        raise AssertionError("the world does not come to rest")

    def run_until(self, campaign: CampaignId, *states: CampaignState) -> Campaign:
        """Run until the campaign is in one of the states; it must come to be."""
        self.run(lambda: self.campaign(campaign).state in states)
        found = self.campaign(campaign)
        assert found.state in states, (found.state, found.reason, found.planning, found.waves)
        return found

    def _go_on(self, end: datetime) -> bool:
        due = min((entry.visible_at for entry in self.bus.waiting), default=end)
        moment = max(self.now, min(due, self._next_resume))
        if moment >= end or (not self.bus.waiting and not any(self.campaigns.list_unfinished())):
            return False
        self.now = self.bus.now = moment
        if moment >= self._next_resume:
            self._next_resume = moment + RESUME_EVERY
            self._survive(lambda: resume_campaigns(self.campaigns, self.bus, now=self.now))
            self._survive(lambda: join_newcomers(self.ports, now=self.now))
            return True
        self._deliver(self._choose(moment))
        return True

    def _choose(self, moment: datetime) -> Waiting:
        visible = [entry for entry in self.bus.waiting if entry.visible_at <= moment]
        return self._random.choice(visible) if self.faults.reordered else visible[0]

    def _deliver(self, entry: Waiting) -> None:
        # Visits reschedule themselves in the real data plane, which is not what is under test here.
        if entry.queue is not Queue.BATCH_DEADLINES and self._random.random() < self.faults.dropped:
            self.bus.waiting.remove(entry)
            return
        if self._survive(lambda: self._handle(entry)) and self._random.random() >= self.faults.duplicated:
            self.bus.waiting.remove(entry)

    def _survive(self, action: Callable[[], object]) -> bool:
        """Whether it came to its end; if not, the message stays and is delivered again."""
        try:
            action()
        except (Died, PortError):
            return False
        except DomainError as error:
            self.refused.append(error)
        return True

    def _handle(self, entry: Waiting) -> None:
        match entry.queue:
            case Queue.CAMPAIGN_STEPS:
                advance_campaign(read_campaign_step(entry.message.body), self.ports, now=self.now)
            case Queue.DEVICE_BATCHES:
                self._work(read_batch_work(entry.message.body))
            case Queue.BATCH_DEADLINES:
                visit = read_batch_visit(entry.message.body)
                rows = self.rollouts.read_batch(visit.campaign, visit.batch)
                self._settle(visit.campaign, [row.value for row in rows])

    # The scripted data plane.

    def regress_one(self, campaign: CampaignId) -> None:
        """One succeeded device goes back to its old version."""
        row = next(row for row in self.rollouts.rows(campaign).values() if row.state is S.SUCCEEDED)
        self.set_state(row, S.REGRESSED)

    def set_state(self, row: Rollout, state: RolloutState) -> None:
        """Write a row's new state as the fold does, and ask for an evaluation."""
        shard = shard_of(row.device, self.shards)
        before = self.rollouts.read_devices(row.campaign, shard, [row.device])[row.device]
        after = self._tried_again(before.value, move(before.value, state, now=self.now))
        change = RolloutChange(before=before, after=after)
        self.rollouts.write(row.campaign, shard, [change])
        self._ask_for_retries([change])
        self.bus.send(Queue.CAMPAIGN_STEPS, [request_evaluation(row.campaign, row.wave, self.now)])

    def _work(self, work: BatchWork) -> None:
        if work.purpose is BatchPurpose.WITHDRAW:
            self._move(work, lambda row: S.CANCELLED if row.state not in FINAL else None)
        elif work.purpose is BatchPurpose.RECALL:
            self._move(work, lambda row: S.CANCELLED if row.state in (S.PLANNED, S.OFFERED) else None)
        elif work.purpose is BatchPurpose.RETRY:
            self._retry(work)
        elif work.purpose is BatchPurpose.AGAIN:
            whole = self.manifests.read_batches(work.campaign, work.batch.wave)
            place = (work.batch.shard, work.batch.number)
            self._give_turns(replace(work, batch=next(each for each in whole if (each.shard, each.number) == place)))
        elif work.purpose is BatchPurpose.SKIP:
            self._move(work, lambda row: S.SKIPPED if row.state is S.PLANNED else None)
        elif may_offer(self.campaign(work.campaign), work.batch.wave, now=self.now):
            self._mark(work)
            self._move(work, lambda row: self.outcome(row.device) if row.state is S.OFFERED else None)
            self.bus.send(Queue.CAMPAIGN_STEPS, [request_evaluation(work.campaign, work.batch.wave, self.now)])

    def _retry(self, work: BatchWork) -> None:
        changes = [
            RolloutChange(before=row, after=open_attempt(row.value, retry_at=self.now, now=self.now))
            for row in self.rollouts.read_batch(work.campaign, work.batch)
            if row.value.state in RETRYABLE
        ]
        self.rollouts.write(work.campaign, work.batch.shard, changes)
        self._work(offers_in_turn(work.campaign, work.batch, ready_by=self.now))

    def _give_turns(self, work: BatchWork) -> None:
        """Offer at once to all that may have a slot: whose it is, and when, is not what is under test here."""
        campaign = self.campaign(work.campaign)
        turn = offers_in_turn(work.campaign, work.batch, ready_by=self.now)
        if not may_offer(campaign, work.batch.wave, now=self.now):
            return
        ready = find_ready(work, campaign, self._take_over_ports, by=self.now, now=self.now)
        self.rollouts.write(
            work.campaign,
            work.batch.shard,
            [RolloutChange(before=row, after=replace(row.value, retry_at=self.now)) for row in ready.rows],
        )
        self._look_later(work, campaign, ready.has_waiting)
        self._work(turn)

    def _mark(self, work: BatchWork) -> None:
        campaign = self.campaign(work.campaign)
        marked = mark_offers(work, campaign, self._take_over_ports, now=self.now)
        self._look_later(work, campaign, marked.has_waiting)

    def _look_later(self, work: BatchWork, campaign: Campaign, has_waiting: bool) -> None:
        if has_waiting:
            again_s = look_again_s(campaign, work.batch.wave, now=self.now)
            self.ports.sender.send(Queue.DEVICE_BATCHES, [request_work_later(work, now=self.now, every_s=again_s)])

    @property
    def _take_over_ports(self) -> TakeOverPorts:
        return TakeOverPorts(
            campaigns=self.ports.campaigns,
            rollouts=self.ports.rollouts,
            devices=self.ports.devices,
            sender=self.ports.sender,
            clock=lambda: self.now,
        )

    def _move(self, work: BatchWork, to: Callable[[Rollout], RolloutState | None]) -> None:
        changes = []
        for row in self.rollouts.read_batch(work.campaign, work.batch):
            if (state := to(row.value)) is not None:
                moved = self.describe(move(row.value, state, now=self.now))
                changes.append(RolloutChange(before=row, after=self._tried_again(row.value, moved)))
        self.rollouts.write(work.campaign, work.batch.shard, changes)
        self._ask_for_retries(changes)

    def _tried_again(self, before: Rollout, after: Rollout) -> Rollout:
        """The row in a further attempt where the campaign's policy asks for one, as the fold has it."""
        campaign = self.campaign(after.campaign)
        if before.is_final:
            return after
        return retry_if_wanted(after, campaign.spec.retries, now=self.now, end=campaign.end_of_offers)

    def _ask_for_retries(self, changes: Iterable[RolloutChange]) -> None:
        opened = [change.after for change in changes if change.after.attempt > change.before.value.attempt]
        for shard in {shard_of(row.device, self.shards) for row in opened}:
            members = [row for row in opened if shard_of(row.device, self.shards) == shard]
            self.bus.send(Queue.DEVICE_BATCHES, request_attempts(members, shard))

    def _settle(self, campaign: CampaignId, rows: list[Rollout]) -> None:
        ended = [row.device for row in rows if row.is_final]
        records = self.device_rows.read_batch(ended)
        freed = [replace(row, value=release(row.value, campaign, now=self.now)) for row in records.values()]
        self.device_rows.write(freed)

    # What must hold at every moment.

    def _check_save(self, before: Campaign, after: Campaign) -> None:
        assert after.state in CAMPAIGN_TRANSITIONS[before.state] | {before.state}, (before.state, after.state)
        known = {wave.number: wave for wave in before.waves}
        for wave in after.waves:
            was = known[wave.number].state if wave.number in known else wave.state
            assert wave.state is was or wave.state in WAVE_TRANSITIONS[was], (was, wave.state)
            old = known.get(wave.number, replace(wave, state=WaveState.PENDING, started_at=None))
            if old.started_at is not None:
                assert wave.started_at == old.started_at, "a wave started twice"
            elif wave.started_at is not None:
                earlier = [other for other in after.waves if other.number < wave.number]
                assert all(other.state in DONE_WAVES for other in earlier), "a wave started behind a closed gate"
                assert not missing_approvals(before), "a wave started that people had not approved"
                end = before.end_of_offers
                assert end is None or wave.started_at < end, "a wave started after the schedule's end"
                self.starts.append((after.id, wave.number))

    def check_counters(self, campaign: CampaignId) -> None:
        """Invariant I3: every target in one wave, and the counters equal the rows."""
        found = self.campaign(campaign)
        rows = self.rollouts.rows(campaign)
        assert sorted(rows) == sorted(self.manifests.read_manifest(campaign, edition=found.planning.manifest))
        for wave in found.waves:
            members = [row for row in rows.values() if row.wave == wave.number]
            assert len(members) == wave.devices
            counted = self.rollouts.read_counters(campaign, wave.number, self.shards)
            assert {state: counted.of(state) for state in S} == {state: counters_of(members).of(state) for state in S}

    def check_audit(self, campaign: CampaignId) -> Checked:
        """The audit log as an auditor finds it: exported, and checked with the service's public keys."""
        return check_log(list(read_log(self.export_audit(campaign))), self.keys.public_keys(KeyRole.SPECS))

    def export_audit(self, campaign: CampaignId) -> list[bytes]:
        """The lines of the exported audit log."""
        return [view_audit_record(record).model_dump_json().encode() for record in self.audit_records.read(campaign)]

    def end_state(self, campaign: CampaignId) -> dict[str, Any]:
        """Everything that must be the same however the world misbehaved: all but times, steps and etags."""
        found = self.campaign(campaign)
        rows = self.rollouts.rows(campaign).values()
        records = [record.value for record in self.device_rows.read_batch([row.device for row in rows]).values()]
        return {
            "campaign": (found.state, found.targets, found.planning.skipped),
            "waves": [(wave.number, wave.state, wave.start, wave.stop, wave.batches) for wave in found.waves],
            "rows": sorted((row.device, row.wave, row.batch, row.state, row.sequence, row.code) for row in rows),
            "devices": sorted((record.device, record.sequence, record.held_by or "") for record in records),
        }


def fleet(size: int, prefix: str = "dev") -> list[str]:
    """Device ids, some of them with every odd character IoT Hub allows."""
    odd = ["a#1", "b?2", "c'3", "d%4", "e$5", "f(6)", "g,7", "h:8", "i=9", "j@10", "k*11", "l!12"]
    return [*odd, *(f"{prefix}-{number}" for number in range(size))][:size]
