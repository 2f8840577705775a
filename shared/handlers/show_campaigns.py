"""Operators look at campaigns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import CampaignId
from shared.domain.reverting import judge_children, watched_children
from shared.domain.waits import Surroundings, find_waits
from shared.domain.waves import Wave, WaveState
from shared.handlers.evaluate_campaign import judge
from shared.handlers.keep_campaign import get_stored_campaign
from shared.handlers.wakeups import utc_now
from shared.handlers.withdraw_package import find_withdrawn
from shared.ports.campaigns import BudgetStore, CampaignStore
from shared.ports.errors import NotThere, UnreadableRow
from shared.ports.packages import PackageStore
from shared.ports.rollouts import RolloutStore
from shared.ports.stops import StopStore
from shared.wire.http_campaign_views import CampaignPage, CampaignView, view_campaign, view_summary

log = logging.getLogger(__name__)

MAX_CHILDREN_READ = 20
"""Campaigns that a revert started, each a point read: of more, what the step read at most 15 seconds ago is shown."""

_OPEN = frozenset({WaveState.DISPATCHING, WaveState.RUNNING, WaveState.SOAKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPorts:
    """What looking at a campaign needs from outside: reads grow with waves and shards, never with devices."""

    campaigns: CampaignStore
    rollouts: RolloutStore
    stops: StopStore
    budget: BudgetStore
    packages: PackageStore
    clock: Callable[[], datetime] = utc_now


def list_campaigns(campaigns: CampaignStore, *, size: int, continuation: str = "") -> CampaignPage:
    """One page of campaigns, the newest of the page first; the log says why some cannot be read."""
    page = campaigns.list_page(size=size, continuation=continuation)
    for why in page.unreadable.values():
        log.warning("not listed: %s", why)
    newest_first = sorted(page.items, key=lambda campaign: campaign.created_at, reverse=True)
    return CampaignPage(
        campaigns=[view_summary(campaign) for campaign in newest_first],
        unreadable=list(page.unreadable),
        continuation=page.continuation or None,
    )


def show_campaign(campaign: CampaignId, ports: ViewPorts) -> CampaignView:
    """A campaign with its waves, its counters, and what holds it back.

    Raises:
        NotFound: No such campaign.
    """
    return view_of(get_stored_campaign(ports.campaigns, campaign).value, ports)


def view_of(stored: Campaign, ports: ViewPorts) -> CampaignView:
    """The view of a campaign already read."""
    campaign = _as_its_children_are(stored, ports.campaigns)
    tallies = {
        wave.number: ports.rollouts.read_tally(campaign.id, wave.number, campaign.shards) for wave in campaign.waves
    }
    counters = {number: tally.counters for number, tally in tallies.items()}
    verdicts = {
        wave.number: judge(campaign, wave, tallies[wave.number]).verdict
        for wave in campaign.waves
        if _is_judged(campaign, wave)
    }
    around = Surroundings(stop=ports.stops.get().value, budget=ports.budget.get().value, counters=counters)
    waits = find_waits(campaign, around, now=ports.clock())
    return view_campaign(campaign, tallies, verdicts, waits, is_withdrawn=_is_withdrawn(campaign, ports.packages))


def _as_its_children_are(campaign: Campaign, campaigns: CampaignStore) -> Campaign:
    """With the reason that its next look at its children would find, where they are few; else that of its last look."""
    children = watched_children(campaign)
    if not 0 < len(children) <= MAX_CHILDREN_READ:
        return campaign
    try:
        found = [campaigns.get(child).value for child in children]
    except (NotThere, UnreadableRow):
        return campaign
    return replace(campaign, reason=judge_children(campaign, found).reason)


def _is_withdrawn(campaign: Campaign, packages: PackageStore) -> bool:
    """Whether one of its packages is; where a row is lost, the campaign can still be looked at."""
    try:
        return find_withdrawn(campaign, packages) is not None
    except NotThere:
        return False


def _is_judged(campaign: Campaign, wave: Wave) -> bool:
    return campaign.state is CampaignState.RUNNING and wave.state in _OPEN
