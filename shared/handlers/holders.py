"""Which campaign really holds a device: a hold counts only while the device's row in that campaign is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.campaigns import Campaign
from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.rollouts import Rollout
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import NotThere
from shared.ports.rollouts import RolloutStore
from shared.ports.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Another campaign's hold of a device.

    Attributes:
        row: The device's row in that campaign; None where the campaign has claimed it and not written the row yet.
    """

    holder: Campaign
    row: Stored[Rollout] | None


class Holders:
    """Tells holds that count from stale ones; remembers the campaigns that hold, so that it serves for one step."""

    def __init__(self, campaign: CampaignId, campaigns: CampaignStore, rollouts: RolloutStore) -> None:
        self._campaign = campaign
        self._campaigns = campaigns
        self._rollouts = rollouts
        self._known: dict[CampaignId, Campaign | None] = {}

    def find_holds(self, records: Sequence[DeviceRecord]) -> Mapping[DeviceId, Hold]:
        """The devices that other campaigns hold."""
        held: dict[CampaignId, list[DeviceId]] = {}
        for record in records:
            if record.held_by is not None and record.held_by != self._campaign:
                held.setdefault(record.held_by, []).append(record.device)
        holds: dict[DeviceId, Hold] = {}
        for holder, devices in held.items():
            holds |= self._holds_of(holder, devices)
        return holds

    def _holds_of(self, holder: CampaignId, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Hold]:
        if (campaign := self._find(holder)) is None:
            return {}
        rows = self._read_rows(campaign, devices)
        return {
            device: Hold(holder=campaign, row=rows.get(device))
            for device in devices
            # A campaign claims a device before it writes the rollout row: until then the campaign itself speaks for it.
            if (not rows[device].value.is_final if device in rows else not campaign.is_finished)
        }

    def _read_rows(self, holder: Campaign, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Stored[Rollout]]:
        """The holder's rollout rows, which lie in its own shards: it may have been posted under another hub size."""
        by_shard: dict[int, list[DeviceId]] = {}
        for device in devices:
            by_shard.setdefault(shard_of(device, holder.shards), []).append(device)
        rows: dict[DeviceId, Stored[Rollout]] = {}
        for shard, members in by_shard.items():
            rows |= self._rollouts.read_devices(holder.id, shard, members)
        return rows

    def _find(self, holder: CampaignId) -> Campaign | None:
        if holder not in self._known:
            self._known[holder] = self._read(holder)
        return self._known[holder]

    def _read(self, holder: CampaignId) -> Campaign | None:
        try:
            return self._campaigns.get(holder).value
        except NotThere:
            return None
