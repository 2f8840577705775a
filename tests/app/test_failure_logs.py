"""A device sends a log by its ticket, and can do no more than that with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.errors import DomainError, NotFound, TooLarge
from shared.domain.ids import CampaignId, DeviceId, PackagePath
from shared.handlers.failure_logs import LogDesk
from shared.ports.logs import MAX_LOG_BYTES
from shared.trust.tickets import Ticket, TicketKeys, TicketRefused, issue_ticket
from tests.support.memory_logs import MemoryLogs
from tests.support.rollouts import CAMPAIGN, NOON

KEYS = TicketKeys(current="k1", secrets={"k1": bytes(range(32))})
DEVICE, OTHER = DeviceId("gw#1'?"), DeviceId("gw-2")


@pytest.fixture
def desk() -> LogDesk:
    return LogDesk(keys=KEYS, logs=MemoryLogs())


def ticket(
    device: DeviceId = DEVICE, campaign: CampaignId = CAMPAIGN, attempt: int = 1, keys: TicketKeys = KEYS
) -> str:
    expires = NOON + timedelta(hours=1)
    claims = Ticket(device=device, campaign=campaign, path=PackagePath("p/1/p.img"), attempt=attempt, expires=expires)
    return issue_ticket(claims, keys)


def test_a_log_lies_where_its_ticket_says(desk: LogDesk) -> None:
    desk.take(b"first", ticket(), now=NOON)
    desk.take(b"second", ticket(attempt=2), now=NOON)
    desk.take(b"second, whole", ticket(attempt=2), now=NOON)
    found = desk.show(CAMPAIGN, DEVICE)
    assert (found.attempt, found.content) == (2, b"second, whole")
    with pytest.raises(NotFound, match="gw-2 sent no log in spring-fix"):
        desk.show(CAMPAIGN, OTHER)


def test_a_log_without_a_good_ticket_is_not_kept(desk: LogDesk) -> None:
    strange = TicketKeys(current="k1", secrets={"k1": bytes(32)})
    late = NOON + timedelta(hours=2)
    for text, now in [("", NOON), ("x.y.z", NOON), (ticket(keys=strange), NOON), (ticket(), late)]:
        with pytest.raises(TicketRefused):
            desk.take(b"log", text, now=now)
    with pytest.raises(NotFound):
        desk.show(CAMPAIGN, DEVICE)


def test_a_log_of_a_mebibyte_is_kept_and_no_byte_more(desk: LogDesk) -> None:
    desk.take(b"x" * MAX_LOG_BYTES, ticket(), now=NOON)
    with pytest.raises(TooLarge, match="send its end"):
        desk.take(b"y" * (MAX_LOG_BYTES + 1), ticket(), now=NOON)
    with pytest.raises(DomainError, match="empty"):
        desk.take(b"", ticket(), now=NOON)
    assert desk.show(CAMPAIGN, DEVICE).content[:1] == b"x"
