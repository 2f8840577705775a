"""Tickets: a capability for one package and one device, which nobody can forge or stretch."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import CampaignId, DeviceId, PackagePath
from shared.trust.tickets import Ticket, TicketKeys, TicketRefused, issue_ticket, read_ticket

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
OLD = TicketKeys(current="old", secrets={"old": secrets.token_bytes(32)})
BOTH = TicketKeys(current="new", secrets={**OLD.secrets, "new": secrets.token_bytes(32)})
NEW = TicketKeys(current="new", secrets={"new": BOTH.secrets["new"]})
TICKET = Ticket(
    device=DeviceId("odd.'#id"),
    campaign=CampaignId("spring-fix"),
    path=PackagePath("fw/1:2.0~a/fw.img"),
    attempt=3,
    expires=NOW + timedelta(hours=1),
)


def test_ticket_says_what_was_put_in() -> None:
    assert read_ticket(issue_ticket(TICKET, BOTH), BOTH, now=NOW) == TICKET


def test_rotation_honours_tickets_of_both_keys_until_the_old_one_is_dropped() -> None:
    ticket = issue_ticket(TICKET, OLD)
    assert read_ticket(ticket, BOTH, now=NOW) == TICKET
    with pytest.raises(TicketRefused):
        read_ticket(ticket, NEW, now=NOW)


def test_ticket_dies_on_the_second() -> None:
    text = issue_ticket(TICKET, BOTH)
    read_ticket(text, BOTH, now=TICKET.expires - timedelta(seconds=1))
    with pytest.raises(TicketRefused, match="expired"):
        read_ticket(text, BOTH, now=TICKET.expires)


def test_claims_of_another_ticket_do_not_fit_this_mac() -> None:
    own, other = issue_ticket(TICKET, BOTH), issue_ticket(replace(TICKET, device=DeviceId("other")), BOTH)
    forged = f"{other.rpartition('.')[0]}.{own.rpartition('.')[2]}"
    with pytest.raises(TicketRefused):
        read_ticket(forged, BOTH, now=NOW)


def test_mac_is_bound_to_its_key_id() -> None:
    text = issue_ticket(TICKET, BOTH)
    with pytest.raises(TicketRefused):
        read_ticket(text.replace("new.", "old.", 1), BOTH, now=NOW)


@given(st.integers(min_value=0), st.characters())
def test_no_character_can_be_changed(position: int, character: str) -> None:
    text = issue_ticket(TICKET, BOTH)
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]
    if changed == text:
        return
    with pytest.raises(TicketRefused):
        read_ticket(changed, BOTH, now=NOW)


@given(st.text(max_size=60))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(TicketRefused):
        read_ticket(text, BOTH, now=NOW)


def test_keys_do_not_show_themselves_in_logs() -> None:
    assert base64.b64encode(BOTH.secrets["new"]).decode() not in repr(BOTH)
    assert "secrets" not in repr(BOTH)


def test_ticket_carries_no_more_than_it_must() -> None:
    claims = json.loads(base64.urlsafe_b64decode(issue_ticket(TICKET, BOTH).split(".")[1] + "=="))
    assert sorted(claims) == ["a", "c", "d", "e", "p"]
