"""Operators look at campaigns."""

from __future__ import annotations

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import CampaignId
from shared.domain.waves import Wave, WaveState
from shared.handlers.evaluate_campaign import judge
from shared.handlers.keep_campaign import get_stored_campaign
from shared.ports.campaigns import CampaignStore
from shared.ports.rollouts import RolloutStore
from shared.wire.http_campaign_views import CampaignPage, CampaignView, view_campaign, view_summary

_OPEN = frozenset({WaveState.DISPATCHING, WaveState.RUNNING, WaveState.SOAKING})


def list_campaigns(campaigns: CampaignStore, *, size: int, continuation: str = "") -> CampaignPage:
    """One page of campaigns, the newest of the page first."""
    page = campaigns.list_page(size=size, continuation=continuation)
    newest_first = sorted(page.items, key=lambda campaign: campaign.created_at, reverse=True)
    return CampaignPage(
        campaigns=[view_summary(campaign) for campaign in newest_first], continuation=page.continuation or None
    )


def show_campaign(campaign: CampaignId, campaigns: CampaignStore, rollouts: RolloutStore) -> CampaignView:
    """A campaign with its waves and counters: reads grow with waves and shards, never with devices.

    Raises:
        NotFound: No such campaign.
    """
    return view_of(get_stored_campaign(campaigns, campaign).value, rollouts)


def view_of(campaign: Campaign, rollouts: RolloutStore) -> CampaignView:
    """The view of a campaign already read."""
    counters = {
        wave.number: rollouts.read_counters(campaign.id, wave.number, campaign.shards) for wave in campaign.waves
    }
    verdicts = {
        wave.number: judge(campaign, wave, rollouts).verdict for wave in campaign.waves if _is_judged(campaign, wave)
    }
    return view_campaign(campaign, counters, verdicts)


def _is_judged(campaign: Campaign, wave: Wave) -> bool:
    return campaign.state is CampaignState.RUNNING and wave.state in _OPEN
