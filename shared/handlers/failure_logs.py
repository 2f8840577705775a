"""A device sends the log of a failed rollout; operators look at it.

Nothing follows from a log: it is kept as it came, for people. The ticket says whose it is, so that no device writes
into another's place, and each attempt has one place, so that a device can fill no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import DomainError, NotFound, TooLarge
from shared.domain.ids import CampaignId, DeviceId
from shared.ports.logs import MAX_LOG_BYTES, FailureLog, FailureLogs
from shared.trust.tickets import TicketKeys, read_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDesk:
    """What taking and showing logs needs."""

    keys: TicketKeys
    logs: FailureLogs

    def check_size(self, size_bytes: int) -> None:
        """Return if a log of this size is taken.

        Raises:
            TooLarge: It is not.
        """
        if size_bytes > MAX_LOG_BYTES:
            raise TooLarge(
                f"a log may have {MAX_LOG_BYTES} bytes, not {size_bytes}; send its end", code="log_too_large"
            )

    def take(self, content: bytes, ticket_text: str, *, now: datetime) -> None:
        """Keep a device's log; sent again, it takes the place of the one before.

        Raises:
            TicketRefused: The ticket is missing, forged or expired.
            TooLarge: It has more than a mebibyte.
            DomainError: It is empty.
            PortError: It is not kept.
        """
        ticket = read_ticket(ticket_text, self.keys, now=now)
        self.check_size(len(content))
        if not content:
            raise DomainError("the log is empty", code="body_missing")
        self.logs.write(ticket.campaign, ticket.device, ticket.attempt, content)

    def show(self, campaign: CampaignId, device: DeviceId) -> FailureLog:
        """The log of the device's last attempt that sent one.

        Raises:
            NotFound: None did.
        """
        found = self.logs.find_newest(campaign, device)
        if found is None:
            raise NotFound(f"{device} sent no log in {campaign}", code="log_not_found")
        return found
