"""Sending the end of the agent's own log once a rollout has failed: for people, best effort, after everything else.

It is tried once for each end in each life of the process, when the hub has accepted the report of the end. Whatever
comes of it, nothing of the rollout depends on it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agent.memory import End, Memory, OfferId
from agent.ports import LogUpload, TransferBroken
from shared.domain.offers import Offer
from shared.domain.rollouts import RolloutState

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
"""The service takes no more (docs/agent.md, The failure log)."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """The agent's log on disk: the file in use and the one before it, together at most ``limit_bytes``.

    Attributes:
        limit_bytes: Also the most that is sent.
    """

    path: Path
    limit_bytes: int

    def handler(self) -> logging.Handler:
        """Writes the log there; opens the file with the first line."""
        half = max(1, self.limit_bytes // 2)
        handler = RotatingFileHandler(self.path, maxBytes=half, backupCount=1, delay=True, encoding="utf-8")
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        return handler

    def tail(self, size_bytes: int) -> bytes:
        """The last bytes of it, of the older file too; empty where nothing was written."""
        files = (self.path.with_name(f"{self.path.name}.1"), self.path)
        content = b"".join(file.read_bytes() for file in files if file.exists())
        return content[-size_bytes:] if size_bytes > 0 else b""


class FailureLogSender:
    """Sends the log of the latest rollout where it failed.

    Args:
        mark: File that holds the sequence of the offer whose log needs no sending any more.
    """

    def __init__(self, file: LogFile, upload: LogUpload, mark: Path) -> None:
        self._file = file
        self._upload = upload
        self._mark = mark
        self._tried = -1

    def send_if_failed(self, memory: Memory, offer: Offer | None) -> None:
        """Send it, if the rollout that the offer stands for failed, its report is out, and it was not tried yet."""
        end = memory.end
        if end is None or offer is None or memory.unsent is not None or not _is_failure_of(end, offer):
            return
        if end.offer.sequence in (self._tried, self._marked()):
            return
        self._tried = end.offer.sequence
        try:
            self._upload.upload(self._compose(end), offer.ticket)
            self._mark.write_text(str(end.offer.sequence))
        except (TransferBroken, OSError) as error:
            log.info("the failure log was not sent: %s", error)

    def _compose(self, end: End) -> bytes:
        offer = end.offer
        head = f"{offer.campaign} attempt {offer.attempt}: {end.state.value} {end.code}: {end.detail}\n".encode()
        limit = min(MAX_BYTES, self._file.limit_bytes)
        return (head + self._file.tail(limit - len(head)))[:limit]

    def _marked(self) -> int:
        try:
            return int(self._mark.read_text())
        except (OSError, ValueError):
            return -1


def _is_failure_of(end: End, offer: Offer) -> bool:
    return end.state is RolloutState.FAILED and end.offer == OfferId.of(offer)
