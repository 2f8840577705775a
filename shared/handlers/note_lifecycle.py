"""Noting that a device was made or deleted in IoT Hub.

Event Grid promises no order, so a deletion is believed only once the hub itself knows the device no more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.devices import DeviceRecord, make_anew, release
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.rollouts import RolloutState, move
from shared.handlers.campaign_facts import CampaignFactsCache
from shared.handlers.wakeups import request_evaluation
from shared.ports.bus import MessageSender, Queue
from shared.ports.hub import TwinReader
from shared.ports.rollouts import DeviceStore, RolloutChange, RolloutStore
from shared.ports.stored import Stored
from shared.wire.twin_events import LifecycleEvent, LifecycleKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePorts:
    """What noting needs from outside."""

    facts: CampaignFactsCache
    rollouts: RolloutStore
    devices: DeviceStore
    twins: TwinReader
    sender: MessageSender


def note_lifecycle(event: LifecycleEvent, ports: LifecyclePorts, *, now: datetime) -> None:
    """Keep the device's row, and end its open rollout where the device is gone.

    Raises:
        PortError: A service needed for it is down, or a row changed meanwhile; noting the event again is safe.
    """
    row = ports.devices.read_batch([event.device]).get(event.device)
    if row is None:
        _note_stranger(event, ports.devices, now)
        return
    exists = ports.twins.read_reported(event.device) is not None
    if event.kind is LifecycleKind.CREATED and exists:
        _write(row, make_anew(row.value, now=now), ports.devices, now)
    elif event.kind is LifecycleKind.DELETED and not exists:
        _forget(row, ports, now)


def _note_stranger(event: LifecycleEvent, devices: DeviceStore, now: datetime) -> None:
    """No campaign ever met the device. That it was made is kept, so that plans can tell it from a misspelt id.

    The hub is not asked: a bulk registration would be a twin read each. Of a device that is gone again, and whose
    deletion came first, the row says too much, and the hub corrects it when a campaign offers it something.
    """
    if event.kind is LifecycleKind.CREATED:
        made = make_anew(DeviceRecord(device=event.device, changed_at=now), now=now)
        devices.write([Stored(value=made, etag="")])


def _forget(row: Stored[DeviceRecord], ports: LifecyclePorts, now: datetime) -> None:
    """End the rollout first: should the second write fail, the event comes again and finds the hold still there."""
    record = row.value
    if record.held_by is not None:
        _skip(record.held_by, record.device, ports, now)
        record = release(record, record.held_by, now=now)
    _write(row, replace(record, deleted_at=record.deleted_at or now), ports.devices, now)


def _skip(campaign: CampaignId, device: DeviceId, ports: LifecyclePorts, now: datetime) -> None:
    if (facts := ports.facts.find(campaign)) is None:
        return
    shard = shard_of(device, facts.shards)
    row = ports.rollouts.read_devices(campaign, shard, [device]).get(device)
    if row is None or row.value.is_final:
        return
    skipped = move(row.value, RolloutState.SKIPPED, now=now, code="device_deleted", detail="deleted in IoT Hub")
    after = replace(skipped, retry_at=None)
    ports.rollouts.write(campaign, shard, [RolloutChange(before=row, after=after)])
    ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign, row.value.wave, now)])
    log.info("%s: a device was deleted and is skipped", campaign)


def _write(row: Stored[DeviceRecord], after: DeviceRecord, devices: DeviceStore, now: datetime) -> None:
    if after != row.value:
        devices.write([Stored(value=replace(after, changed_at=now), etag=row.etag)])
