"""A campaign step comes up: look at the campaign, take the one step its state asks for, keep it.

The queue's session lets one step of a campaign run at a time; should two run all the same, the row's etag lets one of
them count. Side effects come before the write, with ids that end in the step: a step taken twice ends the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.late_failures import find_passed
from shared.domain.plans import digest_plan
from shared.domain.skips import SkipCounts
from shared.domain.starting import await_approval, go_on, missing_approvals
from shared.domain.steps import Change, StepKind, complete, is_judged, next_step, start_wave
from shared.domain.walks import BatchPurpose
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.claim_devices import claim_batches
from shared.handlers.dispatch_wave import dispatch_wave
from shared.handlers.end_campaign import end_campaign, has_run_out
from shared.handlers.evaluate_campaign import evaluate_campaign, keep_looking, look_after_wave
from shared.handlers.keep_campaign import get_stored_campaign, keep_step, step_when_due
from shared.handlers.list_filters import list_filters
from shared.handlers.move_rows import cut_waves, move_batches
from shared.handlers.pause_campaign import stop_untrusted
from shared.handlers.plan_campaign import list_page, order_targets
from shared.handlers.reconsider_wave import reconsider_wave
from shared.handlers.revert_campaign import collect_reverts, start_reverts, watch_reverts
from shared.handlers.tell_children import tell_children
from shared.handlers.wakeups import STOPPED_LOOK_S
from shared.handlers.walk_batches import walk_batches
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.trust.specs import SpecUntrusted
from shared.wire.messages import CampaignStep

_HELD_BY_STOP = frozenset({StepKind.START_WAVE, StepKind.DISPATCH})
_TURNS: Mapping[CampaignState, str] = {
    CampaignState.PAUSED: "pause",
    CampaignState.COMPLETED: "complete",
    CampaignState.ABORTED: "abort",
    CampaignState.REVERTED: "revert",
}
"""What the audit log calls it when a step leads to one of these states; gates and operators speak for themselves."""

_UNSIGNED = frozenset(
    {
        StepKind.LIST_FILTERS,
        StepKind.CUT_WAVES,
        StepKind.MOVE_BATCHES,
        StepKind.WALK,
        StepKind.COLLECT_REVERTS,
        StepKind.START_REVERTS,
        StepKind.WATCH_REVERTS,
        StepKind.TELL_CHILDREN,
        StepKind.NOTHING,
    }
)
"""What may be done whatever the row says, because it starts nothing, or looks for itself."""


def advance_campaign(message: CampaignStep, ports: CampaignPorts, *, now: datetime) -> None:
    """Take the step the message stands for; a message for a step already taken does nothing.

    Raises:
        NotFound: No such campaign.
        ConcurrentChange: Somebody else, an operator perhaps, wrote the campaign meanwhile; the step must come again.
    """
    stored = get_stored_campaign(ports.campaigns, message.campaign)
    if message.step is not None and message.step < stored.value.step:
        _answer_stale(message.step, stored.value, ports, now)
        return
    if has_run_out(stored.value, now=now):
        keep_step(ports, stored, end_campaign(stored.value, now=now), now=now)
        return
    if message.step is None and (passed := find_passed(stored.value, message.wave)) is not None:
        if (late := reconsider_wave(stored.value, passed, ports, now=now)) is not None:
            keep_step(ports, stored, late, now=now)
        return
    if message.step is None and not is_judged(stored.value):
        return
    # What goes back is held against its signatures when it starts something; a pause would stop nothing of it.
    is_checked_later = next_step(stored.value) in _UNSIGNED or stored.value.goes_back
    needs_trust = is_judged(stored.value) or not is_checked_later
    if needs_trust and not _is_genuine(stored.value, ports, now):
        return
    change = _evaluate(stored.value, ports, now=now)
    if change is None and message.step is not None:
        change = _take(stored.value, ports, now=now)
    if change is not None:
        keep_step(ports, stored, change, now=now)
    elif (due_at := keep_looking(stored.value, now=now)) is not None:
        ports.campaigns.save(Stored(value=replace(stored.value, step_due_at=due_at), etag=stored.etag))


def _is_genuine(campaign: Campaign, ports: CampaignPorts, now: datetime) -> bool:
    """Whether the campaign is what was signed when it was posted; one that is not is paused, and people are woken."""
    try:
        ports.specs.check(campaign)
    except SpecUntrusted as error:
        stop_untrusted(campaign, error, ports, now=now)
        return False
    return True


def _note_turn(before: Campaign, change: Change, now: datetime) -> Change:
    """The change, and that the campaign rests or ends with it, for the audit log."""
    after = change.campaign
    what = "await_approval" if _asks_about_going_back(after) else _TURNS.get(after.state)
    if what is None or after.state is before.state:
        return change
    entry = AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=SERVICE,
        what=what,
        before=before.state,
        after=after.state,
        detail=f"{after.reason}; plan {digest_plan(after)}" if _asks_about_going_back(after) else after.reason,
    )
    return replace(change, told=entry)


def _asks_about_going_back(campaign: Campaign) -> bool:
    return campaign.goes_back and campaign.state is CampaignState.AWAITING_APPROVAL


def _answer_stale(step: int, campaign: Campaign, ports: CampaignPorts, now: datetime) -> None:
    """The repeat of the step just taken may mean that its taker died before it asked for the next one."""
    if step == campaign.step - 1 and campaign.awaits_step:
        ports.sender.send(Queue.CAMPAIGN_STEPS, [step_when_due(campaign, now=now)])


def _evaluate(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    return evaluate_campaign(campaign, ports, now=now) if is_judged(campaign) else None


def _take(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    kind = next_step(campaign)
    if _is_held_by_stop(campaign, kind) and ports.stops.get().value.stands:
        return Change(campaign=campaign, due_at=now + timedelta(seconds=STOPPED_LOOK_S))
    if kind in (StepKind.START_WAVE, StepKind.COMPLETE):
        passed = (found for wave in campaign.waves if (found := find_passed(campaign, wave.number)) is not None)
        late = (reconsider_wave(campaign, wave, ports, now=now) for wave in passed)
        if (change := next((each for each in late if each is not None), None)) is not None:
            return change
    step = _STEPS.get(kind)
    change = step(campaign, ports, now=now) if step else None
    return None if change is None else _note_turn(campaign, change, now)


def _is_held_by_stop(campaign: Campaign, kind: StepKind) -> bool:
    """Whether the step would lead to offers: their slots would pass unused, and all of them go out at the release."""
    walk = campaign.walk_in_hand
    is_retry = kind is StepKind.WALK and walk is not None and walk.purpose is BatchPurpose.RETRY
    return is_retry or kind in _HELD_BY_STOP


def _start(campaign: Campaign, _ports: CampaignPorts, *, now: datetime) -> Change:
    return Change(campaign=start_wave(campaign, now=now), due_at=now)


def _begin(campaign: Campaign, _ports: CampaignPorts, *, now: datetime) -> Change:
    """Looked at too early, by another clock's reckoning, it gets a step of its own: this one's id would be a repeat."""
    return Change(campaign=go_on(campaign, now=now), due_at=now)


def _await_approval(campaign: Campaign, _ports: CampaignPorts, *, now: datetime) -> Change:
    return Change(campaign=await_approval(campaign, missing_approvals(campaign)), due_at=now)


def _complete(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    tallies = (ports.rollouts.read_tally(campaign.id, wave.number, campaign.shards) for wave in campaign.waves)
    return Change(campaign=complete(campaign, sum((tally.skips for tally in tallies), SkipCounts())), due_at=now)


class _Step(Protocol):
    def __call__(self, campaign: Campaign, ports: CampaignPorts, /, *, now: datetime) -> Change | None: ...


_STEPS: Mapping[StepKind, _Step] = {
    StepKind.LIST_PAGE: list_page,
    StepKind.ORDER_TARGETS: order_targets,
    StepKind.CLAIM_BATCHES: claim_batches,
    StepKind.BEGIN: _begin,
    StepKind.AWAIT_APPROVAL: _await_approval,
    StepKind.START_WAVE: _start,
    StepKind.DISPATCH: dispatch_wave,
    StepKind.EVALUATE: look_after_wave,
    StepKind.COMPLETE: _complete,
    StepKind.LIST_FILTERS: list_filters,
    StepKind.CUT_WAVES: cut_waves,
    StepKind.MOVE_BATCHES: move_batches,
    StepKind.WALK: walk_batches,
    StepKind.COLLECT_REVERTS: collect_reverts,
    StepKind.START_REVERTS: start_reverts,
    StepKind.WATCH_REVERTS: watch_reverts,
    StepKind.TELL_CHILDREN: tell_children,
}
