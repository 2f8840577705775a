"""Tickets: the capability to fetch one package for one device, exchanged for a short-lived URL.

A ticket is ``<key id>.<claims>.<mac>``: base64url JSON claims and an HMAC-SHA256 over everything before the last dot.
Two keys may be in force, so that one can be rotated while tickets under the other are still out.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.errors import TrustError
from shared.domain.ids import CampaignId, DeviceId, PackagePath


class TicketRefused(TrustError):
    """The ticket opens nothing."""

    code = "ticket_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a ticket says.

    Attributes:
        attempt: The attempt it was issued for; a later one has a ticket of its own.
        expires: Aware UTC, whole seconds.
    """

    device: DeviceId
    campaign: CampaignId
    path: PackagePath
    attempt: int
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketKeys:
    """The keys tickets are made and checked with.

    Attributes:
        current: Id of the key that new tickets are made with.
        secrets: Key id to at least 32 random bytes; at most two entries.
    """

    current: str
    secrets: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"TicketKeys(current={self.current!r})"


def issue_ticket(ticket: Ticket, keys: TicketKeys) -> str:
    """The ticket as text for the offer."""
    claims = {
        "d": ticket.device,
        "c": ticket.campaign,
        "p": ticket.path,
        "a": ticket.attempt,
        "e": int(ticket.expires.timestamp()),
    }
    body = f"{keys.current}.{_encode(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{body}.{_encode(_mac(keys.secrets[keys.current], body))}"


def read_ticket(text: str, keys: TicketKeys, *, now: datetime) -> Ticket:
    """What a ticket says, once its MAC and its expiry have been checked.

    Raises:
        TicketRefused: It is forged, expired, or under a key no longer in force.
    """
    if not text.isascii():
        raise TicketRefused("the ticket cannot be read")
    body, _, mac = text.rpartition(".")
    key_id, _, claims = body.partition(".")
    secret = keys.secrets.get(key_id)
    if secret is None or not hmac.compare_digest(_encode(_mac(secret, body)), mac):
        raise TicketRefused("the ticket was not issued here, or its key is no longer in force")
    ticket = _read_claims(claims)
    if now >= ticket.expires:
        raise TicketRefused("the ticket has expired; wait for the next offer")
    return ticket


def _read_claims(claims: str) -> Ticket:
    try:
        fields = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return Ticket(
            device=DeviceId(fields["d"]),
            campaign=CampaignId(fields["c"]),
            path=PackagePath(fields["p"]),
            attempt=int(fields["a"]),
            expires=datetime.fromtimestamp(int(fields["e"]), UTC),
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise TicketRefused("the ticket cannot be read") from error


def _mac(secret: bytes, body: str) -> bytes:
    return hmac.digest(secret, body.encode(), "sha256")


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
