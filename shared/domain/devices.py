"""Device rows: what is installed, who holds the device, and the sequence of its claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.ids import PACKAGE_NAME, CampaignId, DeviceId
from shared.domain.rollouts import DEVICE_NOT_FOUND, Rollout, RolloutState
from shared.domain.versions import MAX_VERSION_LENGTH

MAX_RESTORED = 100
"""Packages taken over from one twin: a record is one property of a table row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One row of the ``devices`` table.

    Attributes:
        sequence: Rises with each claim and never falls, not even when the device is deleted and made anew.
        held_by: The campaign whose rollout row holds the device; empty when none does. A hold counts only while that
            row is not final.
        installed: Package name to the version last confirmed.
        hardware: What the device said it is; empty when it never said.
        known_since: When IoT Hub or the device itself first showed that it exists, since it was last made; None where
            neither did, or where the row is older than this column. A claim shows nothing: anybody may name a device.
        deleted_at: When IoT Hub said that the device was deleted, or did not know it; None otherwise.
    """

    device: DeviceId
    sequence: int = 0
    held_by: CampaignId | None = None
    installed: Mapping[str, str] = field(default_factory=dict)
    hardware: str = ""
    known_since: datetime | None = None
    deleted_at: datetime | None = None
    changed_at: datetime

    @property
    def is_heard_of(self) -> bool:
        """Whether the hub or the device itself ever showed that it exists, and the hub not since that it does not."""
        return self.deleted_at is None and bool(self.known_since or self.installed or self.hardware)


def claim(record: DeviceRecord, campaign: CampaignId, *, now: datetime) -> DeviceRecord:
    """The record held by the campaign; claiming twice changes nothing."""
    if record.held_by == campaign:
        return record
    return replace(record, held_by=campaign, sequence=record.sequence + 1, changed_at=now)


def release(record: DeviceRecord, campaign: CampaignId, *, now: datetime) -> DeviceRecord:
    """The record without the campaign's hold; another campaign's hold stays."""
    if record.held_by != campaign:
        return record
    return replace(record, held_by=None, changed_at=now)


def make_known(record: DeviceRecord, *, now: datetime) -> DeviceRecord:
    """The record of a device that exists."""
    return replace(record, known_since=record.known_since or now, deleted_at=None)


def make_anew(record: DeviceRecord, *, now: datetime) -> DeviceRecord:
    """The record of a device that was made, maybe not for the first time, and is there: what showed before that it is
    gone is past."""
    return replace(record, known_since=now, deleted_at=None)


def restore(
    record: DeviceRecord, *, sequence: int, installed: Mapping[str, str], hardware: str, now: datetime
) -> DeviceRecord:
    """The record as the device's twin has it; the same record where nothing changes.

    Devices ignore offers whose sequence is not above the highest they took, so a row that was lost, or put back from
    an older copy, must not begin below it.
    """
    after = replace(
        make_known(record, now=now),
        sequence=max(record.sequence, sequence),
        installed={**record.installed, **_believable(installed)},
        hardware=hardware or record.hardware,
    )
    return record if after == record else replace(after, changed_at=now)


def settle(record: DeviceRecord, rollout: Rollout, package: str, *, now: datetime) -> DeviceRecord:
    """The record once a rollout has ended: what the device runs, and no hold; the same record where nothing changes.

    Once a later claim was made, what the device runs is that claim's to say.
    """
    if not rollout.is_final:
        return record
    known = record
    if _tells_hardware(rollout, record) and rollout.hardware != record.hardware:
        known = replace(known, hardware=rollout.hardware, changed_at=now)
    # Devices say what they like, and the record has room for all packages, not for kilobytes of one.
    version = rollout.installed_version[:MAX_VERSION_LENGTH]
    if record.sequence == rollout.sequence and version and record.installed.get(package) != version:
        known = replace(known, installed={**record.installed, package: version}, changed_at=now)
    if record.sequence > rollout.sequence or record.held_by != rollout.campaign:
        return known
    return release(_with_what_the_offer_showed(known, rollout, now), rollout.campaign, now=now)


def _with_what_the_offer_showed(record: DeviceRecord, rollout: Rollout, now: datetime) -> DeviceRecord:
    """The record with whether the device exists: to be asked once, while the campaign holds it."""
    if rollout.state is RolloutState.SKIPPED and rollout.code == DEVICE_NOT_FOUND:
        was_made_since = record.known_since is not None and record.known_since > rollout.changed_at
        return record if was_made_since else replace(record, deleted_at=record.deleted_at or now)
    was_written = rollout.sent_at is not None or rollout.mark is not None
    return make_known(record, now=now) if was_written else record


def _tells_hardware(rollout: Rollout, record: DeviceRecord) -> bool:
    """Whether the device itself said it, and nothing newer is known: a row is claimed with what the record said then.

    Rows are settled again and again, and those of campaigns that never got the device, too.
    """
    is_newest = record.sequence <= rollout.sequence or not record.hardware
    return bool(rollout.hardware) and rollout.mark is not None and is_newest


def _believable(installed: Mapping[str, str]) -> Mapping[str, str]:
    """What may be packages and versions of ours, of all that a device wrote into its twin."""
    found = {
        name: version
        for name, version in installed.items()
        if PACKAGE_NAME.fullmatch(name) and version.isascii() and len(version) <= MAX_VERSION_LENGTH
    }
    return dict(sorted(found.items())[:MAX_RESTORED])
