"""An operator posts a campaign."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import CampaignId
from shared.domain.packages import Package
from shared.domain.schedules import check_schedule
from shared.domain.variants import name_targets
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.compare_campaign import is_same_request, name_differences
from shared.handlers.find_packages import find_packages
from shared.handlers.find_targets import find_targets
from shared.handlers.keep_campaign import announce, step_when_due
from shared.handlers.post_targets import first_planning, keep_posted
from shared.ports.bus import Queue
from shared.ports.errors import AlreadyExists, NotThere
from shared.wire.campaign_room import check_room
from shared.wire.http_campaigns import CampaignRequest

_NAMED_FIELDS = 10


def create_campaign(
    request: CampaignRequest,
    ports: CampaignPorts,
    *,
    idempotency_key: str | None,
    requested_by: str,
    shards: int,
    now: datetime,
) -> Campaign:
    """The new campaign, or the one that the same request under the same key made before.

    Args:
        shards: Partitions to spread its rollout rows over, from the settings.

    Raises:
        ScheduleInvalid: Its schedule cannot be kept.
        NotFound: The package is unknown or not published yet (code ``package_not_found``), or withdrawn; or there is
            no such group or list.
        InvalidRequest: The list names something that is no device; or one of several packages cannot be had, or two of
            them could be for one device.
        PortError: The key that signs specifications cannot be used now, or a store is down; nothing was started.
        Conflict: The key was used for another request.
    """
    identity = campaign_id_of(idempotency_key)
    if (existing := find_campaign(ports, identity)) is not None:
        return _same(existing, request, ports)
    if request.schedule is not None:
        windows = [window.to_window() for window in request.windows]
        check_schedule(request.schedule.to_schedule(), windows, now=now)
    packages = find_packages(request, ports.packages)
    wanted = find_targets(request, ports.groups, ports.lists)
    new = new_campaign(identity, wanted, packages, requested_by, shards, now)
    # The digest is of what was asked: a group that means something else by now does not make it another request.
    campaign = ports.specs.sign(replace(new, request_sha256=request.sha256))
    # The order matters: an audit entry without its campaign is harmless, a campaign that nobody answers for is not.
    keep_posted(ports.manifests, campaign, wanted)
    ports.audit.append(_entry(campaign))
    try:
        ports.campaigns.create(campaign)
    except AlreadyExists:
        return _same(ports.campaigns.get(identity).value, request, ports)
    ports.sender.send(Queue.CAMPAIGN_STEPS, [step_when_due(campaign, now=now)])
    announce(ports.publisher, None, campaign)
    return campaign


def campaign_id_of(idempotency_key: str | None) -> CampaignId:
    """The id of the campaign that is made under this key, the same each time; without one a new id."""
    if idempotency_key is None:
        return CampaignId(f"c{secrets.token_hex(10)}")
    return CampaignId(f"c{hashlib.sha256(idempotency_key.encode()).hexdigest()[:20]}")


def find_campaign(ports: CampaignPorts, identity: CampaignId) -> Campaign | None:
    """The campaign of that id; None where there is none."""
    try:
        return ports.campaigns.get(identity).value
    except NotThere:
        return None


def _same(campaign: Campaign, request: CampaignRequest, ports: CampaignPorts) -> Campaign:
    if not is_same_request(campaign, request):
        fields = name_differences(campaign, request, ports)
        raise Conflict(
            f"this Idempotency-Key was used for another request, which made {campaign.id}; use a new key"
            + (f". Not the same: {', '.join(fields[:_NAMED_FIELDS])}" if fields else ""),
            code="idempotency_key_reused",
        )
    return campaign


def new_campaign(
    identity: CampaignId,
    request: CampaignRequest,
    packages: Sequence[Package],
    requested_by: str,
    shards: int,
    now: datetime,
) -> Campaign:
    """A campaign as it begins: nothing of it is kept yet.

    Raises:
        InvalidRequest: It would find no room in its row.
    """
    spec = request.to_spec()
    first, *others = packages
    campaign = Campaign(
        id=identity,
        spec=spec,
        package=first,
        other_packages=tuple(others),
        shards=shards,
        state=CampaignState.PLANNING,
        step=1,
        step_due_at=now,
        planning=first_planning(spec),
        requested_by=requested_by,
        created_at=now,
        changed_at=now,
        state_since=now,
    )
    check_room(campaign)
    return campaign


def _entry(campaign: Campaign) -> AuditEntry:
    return AuditEntry(
        campaign=campaign.id,
        step=campaign.step,
        at=campaign.created_at,
        who=campaign.requested_by,
        what="create",
        before="",
        after=campaign.state,
        detail=f"{campaign.spec.name}: {name_targets(campaign.spec.packages)}",
    )
