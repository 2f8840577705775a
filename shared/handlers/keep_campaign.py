"""Keeping a campaign one step on: write it, ask for the next step, tell whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from shared.domain.audit import AuditEntry, overtake
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import NotFound
from shared.domain.ids import CampaignId
from shared.domain.reverting import is_newly_ordered
from shared.domain.steps import Change, take_step
from shared.domain.waves import WaveState
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.wakeups import request_end, request_step
from shared.ports.bus import EventPublisher, OutgoingEvent, OutgoingMessage, Queue
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import ConcurrentChange, NotThere, PortError
from shared.ports.stored import Stored
from shared.telemetry.signals import Signal, emit
from shared.wire.campaign_events import (
    CAMPAIGN_CHANGED,
    WAVE_CHANGED,
    campaign_subject,
    wave_subject,
    write_campaign_changed,
    write_wave_changed,
)

log = logging.getLogger(__name__)


def get_stored_campaign(campaigns: CampaignStore, campaign: CampaignId) -> Stored[Campaign]:
    """The campaign's row.

    Raises:
        NotFound: No such campaign.
    """
    try:
        return campaigns.get(campaign)
    except NotThere as error:
        raise NotFound(f"there is no campaign {campaign}; GET /campaigns lists them all") from error


def keep_step(ports: CampaignPorts, before: Stored[Campaign], change: Change, *, now: datetime) -> Campaign:
    """Write the campaign one step on, then send the message for its next step.

    What tells of it in the audit log comes first. A death between the two leaves a campaign whose ``step_due_at``
    passes; ``every_minute_resume`` finds it.

    Raises:
        ConcurrentChange: Somebody else wrote it since it was read.
    """
    after = take_step(before.value, change, now=now)
    if is_newly_ordered(before.value, after):
        after = ports.specs.sign_reversion(after)
    if change.told is not None:
        ports.audit.append(change.told)
    try:
        ports.campaigns.save(Stored(value=after, etag=before.etag))
    except ConcurrentChange:
        if change.told is not None:
            _note_overtaken(change.told, after, ports, now)
        raise
    if after.awaits_step:
        ports.sender.send(Queue.CAMPAIGN_STEPS, [step_when_due(after, now=now), *_end_of(before.value, after)])
    announce(ports.publisher, before.value, after)
    return after


def _note_overtaken(told: AuditEntry, wanted: Campaign, ports: CampaignPorts, now: datetime) -> None:
    """Audit that what was told of was not done, where that is certain.

    A write whose answer was lost is tried again by the SDK, and refused because of itself. Where further steps have
    been taken since, nobody can tell any more.
    """
    try:
        found = ports.campaigns.get(wanted.id).value
        if found.step == wanted.step and _mark(found) != _mark(wanted):
            ports.audit.append(overtake(told, state=found.state, now=now))
    except PortError as error:
        log.warning("%s: nobody is told that %s was not done: %s", wanted.id, told.deed, error)


def _mark(campaign: Campaign) -> tuple[object, ...]:
    """What tells two ways of taking the same step apart. Times do not: of two that do the same, one comes second."""
    order = campaign.reversion
    return (
        campaign.state,
        campaign.reason,
        [(wave.state, wave.dispatched) for wave in campaign.waves],
        campaign.walks,
        [(approval.who, approval.plan_sha256) for approval in campaign.consents.approvals],
        order and (order.number, order.phase, order.wish),
        campaign.planning,
        campaign.quarantined,
    )


def step_when_due(campaign: Campaign, *, now: datetime) -> OutgoingMessage:
    """The message for the campaign's next step, scheduled where it is not due yet."""
    later = campaign.step_due_at if campaign.step_due_at > now else None
    return request_step(campaign.id, campaign.step, enqueue_at=later)


def _end_of(before: Campaign, after: Campaign) -> list[OutgoingMessage]:
    """The message for the end of the schedule, once when a campaign begins: no step of its own may fall due then."""
    end, is_new = after.end_awaited, before.state is not after.state
    return [request_end(after.id, after.step, end)] if end and is_new and after.state is CampaignState.RUNNING else []


def announce(publisher: EventPublisher, before: Campaign | None, after: Campaign) -> None:
    """Publish what changed.

    Listeners get these events at most once when the topic is down, or twice when a step is repeated: nothing of ours
    depends on them, so a failure here must not undo the step.
    """
    _tell_change(before, after)
    events = list(_changes(before, after))
    if not events:
        return
    try:
        publisher.publish(events)
    except PortError as error:
        log.warning("%s: %d events about step %d are lost: %s", after.id, len(events), after.step, error)


def _tell_change(before: Campaign | None, after: Campaign) -> None:
    if before is not None and before.state is after.state:
        return
    failed_before = {wave.number for wave in before.waves if wave.state is WaveState.FAILED} if before else set()
    failed = (wave.number for wave in after.waves if wave.state is WaveState.FAILED)
    emit(
        log,
        Signal.CAMPAIGN_CHANGED,
        f"{after.id} is {after.state}: {after.reason}",
        campaign=after.id,
        state=after.state.value,
        former=before.state.value if before else "",
        failed_wave=next((number for number in failed if number not in failed_before), 0),
    )


def _changes(before: Campaign | None, after: Campaign) -> Iterator[OutgoingEvent]:
    if before is None or (before.state, before.reason) != (after.state, after.reason):
        yield OutgoingEvent(
            type=CAMPAIGN_CHANGED,
            subject=campaign_subject(after),
            data=write_campaign_changed(after),
            id=f"{after.id}:{after.step}",
        )
    known = {wave.number: wave.state for wave in before.waves} if before else {}
    for wave in after.waves:
        if known.get(wave.number) is not wave.state:
            yield OutgoingEvent(
                type=WAVE_CHANGED,
                subject=wave_subject(after, wave),
                data=write_wave_changed(after, wave),
                id=f"{after.id}:{after.step}:w{wave.number}",
            )
