"""A further attempt needs a further claim: devices ignore offers whose sequence is not above the one they know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import Rollout
from shared.handlers.holders import Holders
from shared.handlers.take_over import TakeOverPorts
from shared.ports.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What came of it.

    Attributes:
        sequences: Of the devices that are the campaign's now.
        holders: Of the others, the campaigns that hold them.
    """

    sequences: Mapping[DeviceId, int]
    holders: Mapping[DeviceId, CampaignId]


def renew_claims(campaign: CampaignId, rollouts: Sequence[Rollout], ports: TakeOverPorts, *, now: datetime) -> Claims:
    """Claim the devices once more; those that another campaign really holds are left to it.

    Args:
        rollouts: At most 99, in ring order.

    Raises:
        ConcurrentChange: A device row changed meanwhile; nothing was renewed. A renewal that is repeated skips a
            number, which harms nobody.
    """
    if not rollouts:
        return Claims(sequences={}, holders={})
    rows = ports.devices.read_batch([rollout.device for rollout in rollouts])
    holds = Holders(campaign, ports.campaigns, ports.rollouts).find_holds([row.value for row in rows.values()])
    renewed = []
    for rollout in rollouts:
        row = rows.get(rollout.device) or _unknown(rollout.device, now)
        if rollout.device not in holds:
            renewed.append(Stored(value=_renewed(row.value, rollout, campaign, now), etag=row.etag))
    if renewed:
        ports.devices.write(renewed)
    return Claims(
        sequences={row.value.device: row.value.sequence for row in renewed},
        holders={device: hold.holder.id for device, hold in holds.items()},
    )


def _renewed(record: DeviceRecord, rollout: Rollout, campaign: CampaignId, now: datetime) -> DeviceRecord:
    sequence = max(record.sequence, rollout.sequence) + 1
    return replace(record, held_by=campaign, sequence=sequence, changed_at=now)


def _unknown(device: DeviceId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=device, changed_at=now), etag="")
