"""Every hour: the gates of waves that have passed are asked once more, whatever became of the messages that ask them.

A device that fails late is told of by the fold that wrote its row; that process may die before it tells anybody.
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.campaigns import Campaign
from shared.domain.late_failures import find_passed
from shared.handlers.unreadable_rows import readable, unless_unreadable
from shared.handlers.wakeups import request_evaluation
from shared.ports.bus import MessageSender, Queue
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import NotThere


def reconsider_passed(campaigns: CampaignStore, sender: MessageSender, *, now: datetime) -> int:
    """Ask the gates of all passed waves of campaigns that go on; those of completed ones are asked by visits.

    Returns:
        How many were asked.
    """
    listed = readable(campaigns.list_unfinished())
    found = [campaign for each in listed if (campaign := _find(each, campaigns)) is not None]
    messages = [
        request_evaluation(campaign.id, wave.number, now)
        for campaign in found
        for wave in campaign.waves
        if find_passed(campaign, wave.number) is not None
    ]
    if messages:
        sender.send(Queue.CAMPAIGN_STEPS, messages)
    return len(messages)


def _find(listed: Campaign, campaigns: CampaignStore) -> Campaign | None:
    """The campaign with its waves, which a list does not hold."""
    try:
        return unless_unreadable(lambda: campaigns.get(listed.id).value, None)
    except NotThere:
        return None
