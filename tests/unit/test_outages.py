"""What does not answer is told to anybody who asks, and asked for seldom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.ports.errors import AccessRefused, Unavailable
from shared.wiring.outages import KEPT, OutageWatch

START = datetime(2026, 1, 1, tzinfo=UTC)


class Behind:
    """Something behind the service, and the clock by which it is asked."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0
        self.now = START
        self.watch = OutageWatch({"hub": self.ask}, lambda: self.now)

    def ask(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def test_whoever_asks_often_costs_one_look() -> None:
    behind = Behind()
    assert [dict(behind.watch.find()) for _ in range(100)] == [{}] * 100
    assert behind.asked == 1


def test_an_outage_and_its_end_are_seen_within_ten_seconds() -> None:
    behind = Behind()
    behind.watch.find()
    behind.error = Unavailable("the hub at contoso.azure-devices.net is down")
    behind.now = START + KEPT - timedelta(seconds=1)
    assert behind.watch.find() == {}
    behind.now = START + KEPT
    assert behind.watch.find() == {"hub": "Unavailable"}
    behind.error = None
    behind.now = START + 2 * KEPT
    assert behind.watch.find() == {}
    assert behind.asked == 3


def test_a_missing_role_is_named() -> None:
    behind = Behind()
    behind.error = AccessRefused("the identity needs a role on the hub")
    assert behind.watch.find() == {"hub": "the identity needs a role on the hub"}
