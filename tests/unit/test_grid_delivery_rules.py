"""When Event Grid retries, gives up, and what a dead letter says."""

from datetime import UTC, datetime

import pytest

from emulator.grid.dead_letters import DeadLetter
from emulator.grid.events import EventRefusedError, GridEvent, read_publish
from emulator.grid.schedule import RetryLimits

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_delays_follow_the_documented_schedule() -> None:
    limits = RetryLimits()
    expected = [10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 43200]
    assert [limits.delay_s(attempts) for attempts in range(1, 12)] == expected
    assert RetryLimits(scale=0.1).delay_s(1) == 1


@pytest.mark.parametrize(
    ("attempts", "age_s", "status", "reason"),
    [
        (1, 0, 500, None),
        (1, 0, None, None),
        (1, 0, 404, None),
        (1, 0, 400, "UndeliverableDueToHttpBadRequest"),
        (1, 0, 413, "UndeliverableDueToHttpRequestEntityTooLarge"),
        (3, 0, 500, "MaxDeliveryAttemptsExceeded"),
        (1, 95, 500, "TimeToLiveExceeded"),
    ],
)
def test_giving_up(attempts: int, age_s: float, status: int | None, reason: str | None) -> None:
    limits = RetryLimits(max_attempts=3, time_to_live_s=100)
    assert limits.reason_to_give_up(attempts=attempts, age_s=age_s, status=status) == reason


def letter(fields: dict[str, object], status: int | None) -> DeadLetter:
    return DeadLetter(
        event=GridEvent(fields=fields, published_at=NOW),
        topic="reports",
        subscription="rollout-reports",
        reason="MaxDeliveryAttemptsExceeded",
        attempts=3,
        last_status=status,
        last_attempt_at=NOW,
    )


def test_a_dead_letter_says_why_in_the_events_own_case() -> None:
    found = letter({"specversion": "1.0", "id": "1", "type": "t", "source": "/s"}, 503).to_json()
    assert (found["deadletterreason"], found["lastdeliveryoutcome"]) == ("MaxDeliveryAttemptsExceeded", "Busy")
    found = letter({"id": "1", "eventType": "t"}, None).to_json()
    assert (found["deliveryAttempts"], found["lastDeliveryOutcome"]) == (3, "SocketError")
    assert letter({}, None).blob_name(NOW).startswith("reports/ROLLOUT-REPORTS/2026/3/4/5/")


def test_publishes_are_checked() -> None:
    cloud = b'[{"specversion": "1.0", "id": "1", "type": "t", "source": "/s"}]'
    (event,) = read_publish(cloud, "application/cloudevents-batch+json", topic="/t", now=NOW)
    assert event.event_type == "t"
    with pytest.raises(EventRefusedError) as refused:
        read_publish(b" " * (1024 * 1024 + 1), "application/json", topic="/t", now=NOW)
    assert refused.value.status == 413
    for body in (b"{", b'[{"id": "1"}]', b"[3]"):
        with pytest.raises(EventRefusedError) as refused:
            read_publish(body, "application/json", topic="/t", now=NOW)
        assert refused.value.status == 400
