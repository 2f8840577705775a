"""The campaigns that revert another one rest, go on and end with it.

The row of the one that is reverted says what they are to do, and is written first: whatever dies, they are told again.
It is not signed, so no person is named for it: who wanted it stands in the audit log of the one that is reverted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from shared.domain.audit import SERVICE
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import CampaignId
from shared.domain.reversions import Reversion, Wish
from shared.domain.reverting import children_of, paused_with
from shared.domain.steps import Change
from shared.domain.steps_by_operators import OperatorAction
from shared.handlers.act_on_campaign import act_on_campaign
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.pause_campaign import pause_campaign
from shared.ports.errors import NotThere, UnreadableRow

log = logging.getLogger(__name__)


def tell_children(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with all its children told; what does not fit a child, because it has ended, is left.

    Raises:
        UnreadableRow: When all others are told: there is one that this version cannot read.
    """
    order = campaign.reversion or Reversion()
    failure: UnreadableRow | None = None
    for identity in children_of(campaign):
        try:
            _tell(campaign, identity, order.wish, ports, now)
        except UnreadableRow as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return Change(campaign=replace(campaign, reversion=replace(order, is_told=True)), due_at=now)


def _tell(parent: Campaign, identity: CampaignId, wish: Wish, ports: CampaignPorts, now: datetime) -> None:
    try:
        child = ports.campaigns.get(identity).value
    except NotThere:
        return
    try:
        _TELL[wish](parent, child, ports, now)
    except Conflict as error:
        log.warning("%s: %s", parent.id, error.message)


def _pause(parent: Campaign, child: Campaign, ports: CampaignPorts, now: datetime) -> None:
    pause_campaign(child.id, paused_with(parent.id), ports, now=now)


def _go_on(parent: Campaign, child: Campaign, ports: CampaignPorts, now: datetime) -> None:
    """What a gate or an operator paused stays so: resuming it accepts what has failed."""
    if child.state is CampaignState.PAUSED and child.reason.startswith(paused_with(parent.id)):
        act_on_campaign(child.id, OperatorAction.RESUME, ports, now=now, who=_who(parent))


def _end(action: OperatorAction) -> _Tell:
    def end(parent: Campaign, child: Campaign, ports: CampaignPorts, now: datetime) -> None:
        act_on_campaign(child.id, action, ports, now=now, who=_who(parent))

    return end


def _who(parent: Campaign) -> str:
    return f"{SERVICE} for {parent.id}"


type _Tell = Callable[[Campaign, Campaign, CampaignPorts, datetime], None]
_TELL: Mapping[Wish, _Tell] = {
    Wish.GO_ON: _go_on,
    Wish.PAUSE: _pause,
    Wish.CANCEL: _end(OperatorAction.CANCEL),
    Wish.FORCE_CANCEL: _end(OperatorAction.FORCE_CANCEL),
}
