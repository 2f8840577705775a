"""Every minute: campaigns whose step is overdue get its message again. Queues are wake-ups, tables are the truth."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.handlers.unreadable_rows import readable
from shared.handlers.wakeups import request_step_again
from shared.ports.bus import MessageSender, Queue
from shared.ports.campaigns import CampaignStore

OVERDUE_AFTER_S = 60.0
"""A message on its way is given this long, so that a busy queue is not filled with repeats."""


def resume_campaigns(campaigns: CampaignStore, sender: MessageSender, *, now: datetime) -> int:
    """Send the messages of overdue steps again; a step that was taken meanwhile ignores them.

    Returns:
        How many campaigns were overdue.
    """
    overdue_since = now - timedelta(seconds=OVERDUE_AFTER_S)
    messages = [
        request_step_again(campaign.id, campaign.step, now=now)
        for campaign in readable(campaigns.list_unfinished())
        if campaign.step_due_at <= overdue_since
    ]
    if messages:
        sender.send(Queue.CAMPAIGN_STEPS, messages)
    return len(messages)
