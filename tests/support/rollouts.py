"""Devices, rollouts and reports made up for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import OrderMark, PackageTarget, Report, Rollout, RolloutState

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CAMPAIGN = CampaignId("spring-fix")
TARGET = PackageTarget(name="gateway.firmware", version="2.0.0")
OLD_VERSION = "1.4.0"

# Every character the identity registry allows that is neither letter nor digit, by itself and together.
ODD_CHARACTERS = "-.%_*?!(),:=@$'#+"
ODD_DEVICES = [DeviceId(f"odd{character}device") for character in ODD_CHARACTERS] + [DeviceId(ODD_CHARACTERS)]


def make_rollout(device: str = "gw-1", state: RolloutState = RolloutState.OFFERED, **fields: object) -> Rollout:
    """A rollout of wave 1, batch 0, sequence 1."""
    given = {
        "device": DeviceId(device),
        "campaign": CAMPAIGN,
        "wave": 1,
        "batch": 0,
        "state": state,
        "sequence": 1,
        "changed_at": NOON,
        **fields,
    }
    return Rollout(**given)  # type: ignore[arg-type]


def make_report(device: str = "gw-1", state: str = "downloading", at: int = 1, **fields: object) -> Report:
    """The device's ``at``-th report, a second after the one before; the old version runs until it succeeded."""
    version = TARGET.version if state == "succeeded" else OLD_VERSION
    given = {
        "device": DeviceId(device),
        "campaign": CAMPAIGN,
        "wave": 1,
        "attempt": 1,
        "sequence": 1,
        "state": RolloutState(state),
        "installed": {TARGET.name: version},
        "agent_version": "0.1.0",
        "mark": mark(at),
        **fields,
    }
    return Report(**given)  # type: ignore[arg-type]


def mark(at: int) -> OrderMark:
    """The order mark of a device's ``at``-th report."""
    return OrderMark(last_updated=NOON + timedelta(seconds=at), version=at)
