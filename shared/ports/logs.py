"""Logs that devices sent after a rollout failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import CampaignId, DeviceId

MAX_LOG_BYTES = 1 << 20
"""Of one log: the container grows by no more than this for each attempt of a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLog:
    """What a device sent. Nobody has looked at it: it may say anything.

    Attributes:
        attempt: The attempt of the rollout that it is about.
        written_at: Aware UTC.
    """

    attempt: int
    content: bytes
    written_at: datetime


class FailureLogs(Protocol):
    """Container ``logs``: one blob for each attempt of a device in a campaign.

    Raises, for every method:
        PortError: The store does not answer.
    """

    def write(self, campaign: CampaignId, device: DeviceId, attempt: int, content: bytes) -> None:
        """Keep the log in the place of an earlier one of the same attempt."""

    def find_newest(self, campaign: CampaignId, device: DeviceId) -> FailureLog | None:
        """The log of the highest attempt; None where there is none."""
