"""What the service's answer to a ticket means (DESIGN.md, Offer)."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin

from agent.codes import Code
from agent.ports import TransferBroken, TransferCancelled, TransferPaused, TransferRefused

TICKET_HEADER = "Groundswell-Ticket"
DEFAULT_PAUSE_S = 30.0
_REDIRECTS = (HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT)
_PAUSES = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


def read_exchange(url: str, status: int, *, location: str | None, retry_after: str | None, now: datetime) -> str:
    """The URL the content is at, where the ticket asked for at ``url`` was taken.

    Raises:
        TransferRefused: The ticket is no good (401), or there is no such package (404).
        TransferCancelled: The offer no longer stands (410).
        TransferPaused: Not now (503, 429).
        TransferBroken: Anything else.
    """
    if status in _REDIRECTS and location:
        return urljoin(url, location)
    if status == HTTPStatus.UNAUTHORIZED:
        raise TransferRefused(Code.TICKET_REFUSED, "the service refused the ticket")
    if status == HTTPStatus.NOT_FOUND:
        raise TransferRefused(Code.DOWNLOAD_FAILED, "the service knows no such package")
    if status == HTTPStatus.GONE:
        raise TransferCancelled("the service says that the offer no longer stands")
    if status in _PAUSES:
        raise TransferPaused(read_retry_after(retry_after, now=now))
    raise TransferBroken(f"the service answered {status} to the ticket")


def read_retry_after(value: str | None, *, now: datetime) -> float:
    """Seconds a ``Retry-After`` header asks to wait (RFC 9110, section 10.2.3); a default where it cannot be read."""
    if value is None:
        return DEFAULT_PAUSE_S
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return DEFAULT_PAUSE_S
