"""A further attempt needs a further claim: devices ignore offers whose sequence is not above the one they know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import Rollout
from shared.ports.rollouts import DeviceStore
from shared.ports.stored import Stored


def renew_claims(
    campaign: CampaignId, rollouts: Sequence[Rollout], devices: DeviceStore, *, now: datetime
) -> Mapping[DeviceId, int]:
    """The new sequences of the devices, held by the campaign now; those that another campaign holds are left out.

    Args:
        rollouts: At most 99, in ring order.

    Raises:
        ConcurrentChange: A device row changed meanwhile; nothing was renewed. A renewal that is repeated skips a
            number, which harms nobody.
    """
    if not rollouts:
        return {}
    rows = devices.read_batch([rollout.device for rollout in rollouts])
    renewed = [
        Stored(value=_renewed(row.value, rollout, campaign, now), etag=row.etag)
        for rollout in rollouts
        if (row := rows.get(rollout.device, _unknown(rollout.device, now))).value.held_by in (None, campaign)
    ]
    if renewed:
        devices.write(renewed)
    return {row.value.device: row.value.sequence for row in renewed}


def _renewed(record: DeviceRecord, rollout: Rollout, campaign: CampaignId, now: datetime) -> DeviceRecord:
    sequence = max(record.sequence, rollout.sequence) + 1
    return replace(record, held_by=campaign, sequence=sequence, changed_at=now)


def _unknown(device: DeviceId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=device, changed_at=now), etag="")
