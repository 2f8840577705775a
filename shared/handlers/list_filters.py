"""An edit of waves named new filters: list the devices that meet them, then cut the waves anew.

Until the last page is listed nothing of the campaign has changed, and whatever stands in the way leaves its waves as
they were: the hub refuses a filter, nobody is left for it, the campaign has ended, or its row is not what was signed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId
from shared.domain.listings import query_of_filter
from shared.domain.pending_edits import PendingEdit
from shared.domain.steps import Change
from shared.domain.wave_edits import drop_edit, note_filter_page
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.edit_waves import cut_anew
from shared.handlers.plan_campaign import LIST_AGAIN_S, list_some
from shared.ports.errors import QuotaExceeded, Throttled

_WAITING = frozenset({CampaignState.PAUSED, CampaignState.PLANNING})


def list_filters(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with one more page of its new filters listed; after the last one, with its waves to be cut."""
    edit = campaign.wave_edit
    if edit is None or campaign.state not in _WAITING:
        return _dropped(campaign, f"the campaign is {campaign.state}", ports, now)
    try:
        ports.specs.check_edit(campaign)
        listed = edit if edit.is_listed else _list_page(campaign, edit, ports)
        if not listed.is_listed:
            return Change(campaign=replace(campaign, wave_edit=listed), due_at=now)
        cut = cut_anew(campaign, edit.waves, ports, edit.by, now, _read_found(campaign, listed, ports))
    except Throttled as error:
        return Change(campaign=campaign, due_at=now + timedelta(seconds=error.retry_after_s or LIST_AGAIN_S))
    except QuotaExceeded:
        return _dropped(campaign, "the IoT Hub's daily message quota is used up", ports, now)
    except DomainError as error:
        return _dropped(campaign, error.message, ports, now)
    return Change(campaign=cut, due_at=now)


def _list_page(campaign: Campaign, edit: PendingEdit, ports: CampaignPorts) -> PendingEdit:
    query = query_of_filter(campaign.spec.targets, edit.conditions[len(edit.ends)])
    page = list_some(query, edit.continuation, ports.directory)
    ports.manifests.write_page(campaign.id, edit.page, page.items)
    return note_filter_page(edit, page.continuation)


def _read_found(campaign: Campaign, edit: PendingEdit, ports: CampaignPorts) -> dict[str, set[DeviceId]]:
    return {
        condition: {device for page in ports.manifests.read_pages(campaign.id, stop, start=start) for device in page}
        for condition, (start, stop) in edit.spans.items()
    }


def _dropped(campaign: Campaign, why: str, ports: CampaignPorts, now: datetime) -> Change:
    after = drop_edit(campaign, why, now=now)
    entry = AuditEntry(
        campaign=campaign.id,
        step=campaign.step + 1,
        at=now,
        who=SERVICE,
        what="drop-edit",
        before=campaign.state,
        after=after.state,
        detail=why,
    )
    ports.audit.append(entry)
    return Change(campaign=after, due_at=now)
