"""CloudEvents about campaigns and waves, for anybody's webhook or Logic App. They never name a device."""

from __future__ import annotations

import json

from shared.domain.campaigns import Campaign
from shared.domain.waves import Wave

CAMPAIGN_CHANGED = "campaign.changed"
WAVE_CHANGED = "wave.changed"


def campaign_subject(campaign: Campaign) -> str:
    """The ``subject`` of an event about a campaign."""
    return f"campaigns/{campaign.id}"


def wave_subject(campaign: Campaign, wave: Wave) -> str:
    """The ``subject`` of an event about a wave."""
    return f"campaigns/{campaign.id}/waves/{wave.number}"


def write_campaign_changed(campaign: Campaign) -> bytes:
    """The ``data`` of ``campaign.changed``; ``step`` orders the events of a campaign."""
    return _write(
        campaign=campaign.id,
        name=campaign.spec.name,
        package=campaign.target.name,
        version=campaign.target.version,
        packages=[{"name": target.name, "version": target.version} for target in campaign.spec.packages],
        state=campaign.state.value,
        reason=campaign.reason,
        step=campaign.step,
        at=campaign.changed_at.isoformat(),
    )


def write_wave_changed(campaign: Campaign, wave: Wave) -> bytes:
    """The ``data`` of ``wave.changed``; ``step`` orders the events of a campaign."""
    return _write(
        campaign=campaign.id,
        wave=wave.number,
        name=wave.spec.name,
        devices=wave.devices,
        state=wave.state.value,
        reason=wave.reason,
        step=campaign.step,
        at=campaign.changed_at.isoformat(),
    )


def _write(**fields: str | int | list[dict[str, str]]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
