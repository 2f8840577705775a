"""Failure logs in memory."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.domain.ids import CampaignId, DeviceId
from shared.ports.logs import FailureLog


class MemoryLogs:
    """A ``FailureLogs``."""

    def __init__(self) -> None:
        self._logs: dict[tuple[CampaignId, DeviceId], dict[int, FailureLog]] = {}

    def write(self, campaign: CampaignId, device: DeviceId, attempt: int, content: bytes) -> None:
        written = FailureLog(attempt=attempt, content=content, written_at=datetime.now(UTC))
        self._logs.setdefault((campaign, device), {})[attempt] = written

    def find_newest(self, campaign: CampaignId, device: DeviceId) -> FailureLog | None:
        attempts = self._logs.get((campaign, device), {})
        return attempts[max(attempts)] if attempts else None
