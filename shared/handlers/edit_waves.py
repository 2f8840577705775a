"""An operator edits the pending waves of a paused campaign; its steps then move the rollout rows.

Everything before the write of the campaign's row is harmless should the process die: the new manifest has a name of its
own, and the audit entry tells of what was asked. Afterwards planning goes on from its cursor, see ``list_filters`` and
``move_rows``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.errors import Conflict, DomainError
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.plan_checks import sizes_of
from shared.domain.steps import Change
from shared.domain.wave_edits import (
    apply_recut,
    begin_listing,
    check_editable,
    edition_of,
    is_asked_for,
    pending_tail,
    recut,
)
from shared.domain.waves import Wave, WaveSpec
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import get_stored_campaign, keep_step
from shared.trust.specs import SpecUntrusted
from shared.wire.campaign_room import check_room
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_quarantine import check_quarantine
from shared.wire.http_wave_edits import WavesRequest
from shared.wire.http_waves import MAX_WAVES, refuse_impossible


def edit_waves(
    campaign: CampaignId, request: WavesRequest, ports: CampaignPorts, *, who: str, now: datetime
) -> Campaign:
    """The campaign with its pending waves as asked; asking for what they are already changes nothing.

    Raises:
        NotFound: No such campaign.
        Conflict: Its waves cannot be edited now, or it is not what was signed.
        InvalidRequest: The waves leave devices over, or no device is left for one of them.
        PortError: The key that signs specifications cannot be used now, or a store is down; nothing was changed.
    """
    return until_written(lambda: _try_to_edit(campaign, request, ports, who, now), what=campaign)


def _try_to_edit(
    campaign: CampaignId, request: WavesRequest, ports: CampaignPorts, who: str, now: datetime
) -> Campaign:
    stored = get_stored_campaign(ports.campaigns, campaign)
    before = stored.value
    pending = pending_tail(before)
    tail = request.to_waves([wave.spec for wave in pending], begun=len(before.waves) - len(pending))
    if is_asked_for(before, tail):
        return before
    check_editable(before)
    _check_genuine(before, ports)
    if (total := len(before.waves) - len(pending) + len(tail)) > MAX_WAVES:
        raise InvalidRequest(f"waves: {total} waves with those that have begun, at most {MAX_WAVES} may be")
    refuse_impossible(tail, sizes_of(tail, 0))
    check_quarantine(before.spec.quarantine, tail, first=total - len(tail) + 1)
    try:
        asked = begin_listing(before, tail, who=who, page=_free_page(before), now=now)
        check_room(replace(asked or before, spec=replace(before.spec, waves=_all_waves(before, tail))))
        after = _ask_for_listing(before, asked, ports) if asked else cut_anew(before, tail, ports, who, now)
    except DomainError as error:
        raise InvalidRequest(error.message) from error
    return keep_step(ports, stored, Change(campaign=after, due_at=now), now=now)


def _all_waves(campaign: Campaign, tail: Sequence[WaveSpec]) -> tuple[WaveSpec, ...]:
    begun = len(campaign.waves) - len(pending_tail(campaign))
    return (*(wave.spec for wave in campaign.waves[:begun]), *tail)


def cut_anew(
    before: Campaign,
    tail: Sequence[WaveSpec],
    ports: CampaignPorts,
    who: str,
    now: datetime,
    found: Mapping[str, Set[DeviceId]] | None = None,
) -> Campaign:
    """The campaign with its pending waves as ``tail`` says: manifest kept, signed and audited.

    Args:
        found: Condition that no pending wave has to the devices that meet it.

    Raises:
        DomainError: The waves leave devices over, no device is left for one of them, or a gate could never pass.
    """
    cut = recut(before, tail, ports.manifests.read_manifest(before.id, edition=before.planning.manifest), found)
    refuse_impossible(tail, [wave.devices for wave in cut.waves[cut.first - 1 :]])
    ports.manifests.write_manifest(before.id, cut.manifest, edition=edition_of(cut))
    after = ports.specs.sign(apply_recut(before, cut, who=who, now=now))
    ports.audit.append(_entry(before, after, cut.first, who, now))
    return after


def _free_page(campaign: Campaign) -> int:
    """The page's number, which no other edit takes: a late repeat of another one's step could write over it."""
    return campaign.planning.page + secrets.randbelow(2**31)


def _ask_for_listing(before: Campaign, asked: Campaign, ports: CampaignPorts) -> Campaign:
    """The campaign whose new filters are listed first, with what was asked for signed and audited."""
    edit = asked.wave_edit
    if edit is None:
        raise TypeError(f"{asked.id} has no filters to list")
    signed = ports.specs.sign_edit(asked)
    entry = AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=edit.at,
        who=edit.by,
        what="ask-waves",
        before=before.state,
        after=before.state,
        detail=f"{', '.join(wave.name for wave in edit.waves)}, once listed: {'; '.join(edit.conditions)}",
    )
    ports.audit.append(entry)
    return signed


def _check_genuine(campaign: Campaign, ports: CampaignPorts) -> None:
    """Return if the campaign is what was signed: an edit must not sign what somebody else wrote into its row."""
    try:
        ports.specs.check(campaign)
    except SpecUntrusted as error:
        raise Conflict(f"{campaign.id} cannot be edited: {error.message}; cancel it", code=error.code) from error


def _entry(before: Campaign, after: Campaign, first: int, who: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=who,
        what="edit-waves",
        before=before.state,
        after=after.state,
        detail=f"{_sizes(before.waves[first - 1 :])} became {_sizes(after.waves[first - 1 :])}",
    )


def _sizes(waves: Iterable[Wave]) -> str:
    return ", ".join(f"{wave.number} ({wave.spec.name}): {wave.devices}" for wave in waves)
