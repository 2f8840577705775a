"""People act on a campaign: they approve, start, pause, resume or cancel it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.cohorts import quarantined_failures
from shared.domain.errors import Conflict
from shared.domain.gates import Counters, acknowledge
from shared.domain.ids import CampaignId
from shared.domain.retries import RETRYABLE
from shared.domain.steps import Change
from shared.domain.steps_by_operators import GOING_ON, OperatorAction, Request, act
from shared.domain.waves import WaveState
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import get_stored_campaign, keep_step
from shared.handlers.withdraw_package import find_withdrawn
from shared.trust.specs import SpecUntrusted
from shared.wire.http_actions import ActionRequest

_SKIPPED = frozenset({WaveState.SKIPPED})
_NOTHING_SAID = ActionRequest()


def act_on_campaign(
    campaign: CampaignId,
    action: OperatorAction,
    ports: CampaignPorts,
    *,
    now: datetime,
    who: str,
    said: ActionRequest = _NOTHING_SAID,
) -> Campaign:
    """The campaign after the action; an action that holds already changes nothing and answers the same.

    Args:
        who: The label of who asks for it.
        said: What they say to it, and which plan they looked at.

    Raises:
        NotFound: No such campaign.
        DomainError: The action needs to know the wave.
        Conflict: The action does not fit its state, the campaign may not go on, or its plan is not the one looked at.
        Forbidden: Its requester wants to approve it.
        ConcurrentChange: Its steps kept coming between.
    """
    asked = Request(action=action, who=who, now=now, wave=said.wave, remark=said.remark, plan_sha256=said.plan_sha256)
    return until_written(lambda: _try_to_act(campaign, asked, ports), what=campaign)


def _try_to_act(campaign: CampaignId, request: Request, ports: CampaignPorts) -> Campaign:
    stored = get_stored_campaign(ports.campaigns, campaign)
    before = stored.value
    after = act(before, replace(request, acknowledged=_suffered(before, ports)))
    if after is None:
        return before
    if before.archive is not None:
        raise Conflict(f"{before.id} is archived: its devices' rows are no longer in the table", code="archived")
    if request.action in GOING_ON:
        _check_genuine(before, ports)
    if request.action is OperatorAction.RETRY_FAILED:
        if not (failed := _count_retryable(before, ports)):
            return before
        request = replace(request, remark="; ".join(filter(None, (f"{failed} devices", request.remark))))
    entry = _entry(before, after, request)
    change = Change(campaign=after, due_at=request.now, told=entry)
    return keep_step(ports, stored, change, now=request.now)


def _check_genuine(campaign: Campaign, ports: CampaignPorts) -> None:
    """Return if the campaign may go on.

    Raises:
        Conflict: It is not what was signed when it was posted, or a package of it was withdrawn.
    """
    try:
        if campaign.goes_back:
            ports.specs.check_reversion(campaign)
        else:
            ports.specs.check(campaign)
    except SpecUntrusted as error:
        raise Conflict(f"{campaign.id} cannot go on: {error.message}; cancel it", code=error.code) from error
    if not campaign.goes_back and find_withdrawn(campaign, ports.packages) is not None:
        raise Conflict(f"{campaign.id} cannot go on: its package was withdrawn; cancel it", code="package_withdrawn")


def _count_retryable(campaign: Campaign, ports: CampaignPorts) -> int:
    """How many devices would be tried again."""
    begun = [wave.number for wave in campaign.waves if wave.started_at is not None and wave.state not in _SKIPPED]
    tallies = (ports.rollouts.read_tally(campaign.id, number, campaign.shards) for number in begun)
    return sum(tally.counters.of(*RETRYABLE) for tally in tallies)


def _suffered(campaign: Campaign, ports: CampaignPorts) -> Counters:
    wave = campaign.wave_in_hand
    if wave is None or wave.state is not WaveState.FAILED:
        return Counters()
    tally = ports.rollouts.read_tally(campaign.id, wave.number, campaign.shards)
    # What cohorts are held back for leaves the gate's count by itself.
    return acknowledge(tally.counters.without(quarantined_failures(tally.cohorts, campaign.quarantined)))


def _entry(before: Campaign, after: Campaign, request: Request) -> AuditEntry:
    if request.action is OperatorAction.APPROVE:
        about = _approval_words(after)
    else:
        about = f"{'' if request.wave is None else f'wave {request.wave}; '}{before.reason}"
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=request.now,
        who=request.who,
        what=request.action,
        before=before.state,
        after=after.state,
        detail="; ".join(part for part in (about, request.remark) if part),
    )


def _approval_words(campaign: Campaign) -> str:
    given = campaign.consents.approvals[-1]
    about = "going back" if campaign.goes_back else f"wave {given.wave}"
    return f"{about}, plan {given.plan_sha256}"
