"""Event log, route conditions, and the access log that blob events come from."""

import asyncio

import pytest

from emulator.eventhub.conditions import ConditionError, Routed, parse_condition
from emulator.eventhub.log import EventLog
from emulator.storage.access_log import BlobApi, read_access

MESSAGE = Routed(
    body={"properties": {"reported": {"update": {"state": "x"}, "count": 3}}},
    properties={"opType": "updateTwin", "colour": "it's"},
    system_properties={"iothub-connection-device-id": "d1", "content-type": "application/json"},
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", True),
        ("false", False),
        ("IS_DEFINED($body.properties.reported.update.state)", True),
        ("IS_DEFINED($body.properties.reported.update)", False),
        ("NOT IS_DEFINED($body.properties.reported.update)", False),
        ("is_defined($body.properties.desired.update)", False),
        ("$body.properties.reported.update.state = 'x'", True),
        ("$body.properties.reported.count >= 3", True),
        ("$body.properties.reported.count > 'a'", False),
        ("opType = 'updateTwin' AND NOT IS_DEFINED(other)", True),
        ("opType != 'updateTwin' OR $connectionDeviceId = 'd1'", True),
        ("(opType = 'x' OR opType = 'y') AND true", False),
        ("colour = 'it''s'", True),
        ("$contentType = 'application/json'", True),
        ("other = 'x'", False),
        ("NOT other = 'x'", False),
    ],
)
def test_conditions_hold_as_in_the_hubs_query_language(condition: str, expected: bool) -> None:
    assert parse_condition(condition)(MESSAGE) is expected


@pytest.mark.parametrize("condition", ["", "a =", "IS_DEFINED(", "a = 'x' b", "a ~ 1", "(a = 1"])
def test_a_condition_that_cannot_be_read_is_refused(condition: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(condition)


def append(log: EventLog, key: str, body: str) -> None:
    log.append(key=key, body=body, properties={}, system_properties={})


async def read_bodies(log: EventLog, partition: int, wait_s: float = 0) -> list[str]:
    return [event.body for event in await log.read("$Default", partition, most=10, wait_s=wait_s)]


def test_a_key_keeps_its_partition_and_order_and_the_pointer_is_the_groups_own() -> None:
    log = EventLog("hub", partitions=4)
    for number in range(3):
        append(log, "d1", str(number))
    partition = log.partition_of("d1")
    assert asyncio.run(read_bodies(log, partition)) == ["0", "1", "2"]
    assert asyncio.run(read_bodies(log, partition)) == ["0", "1", "2"], "reading moves nothing"
    log.checkpoint("$Default", partition, 1)
    assert asyncio.run(read_bodies(log, partition)) == ["2"]
    assert (log.lag(), log.lag("other"), log.count()) == (1, 3, 3)


def test_a_reader_waits_for_the_next_event() -> None:
    async def scenario() -> list[str]:
        log = EventLog("hub", partitions=1)
        reading = asyncio.create_task(read_bodies(log, 0, wait_s=5))
        await asyncio.sleep(0)
        append(log, "d", "late")
        return await reading

    assert asyncio.run(scenario()) == ["late"]


@pytest.mark.parametrize(
    ("request_line", "status", "expected"),
    [
        ("PUT /acc/incoming/a%20b/c.bin", 201, (BlobApi.PUT_BLOB, "a b/c.bin")),
        ("PUT /acc/incoming/x?comp=blocklist", 201, (BlobApi.PUT_BLOCK_LIST, "x")),
        ("PUT /acc/incoming/x?comp=block&blockid=MQ", 201, None),
        ("PUT /acc/incoming/x?comp=metadata", 200, None),
        ("PUT /acc/incoming/x", 412, None),
        ("PUT /acc/incoming?restype=container", 201, None),
        ("DELETE /acc/incoming/x", 202, (BlobApi.DELETE_BLOB, "x")),
        ("GET /acc/incoming/x", 200, None),
    ],
)
def test_the_access_log_tells_of_written_blobs(
    request_line: str, status: int, expected: tuple[BlobApi, str] | None
) -> None:
    line = f'127.0.0.1 - - [23/Nov/2026:22:00:00 +0000] "{request_line} HTTP/1.1" {status} -'
    change = read_access(line)
    assert (change and (change.api, change.blob)) == expected
