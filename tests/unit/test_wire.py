"""Queue messages, table keys and twin documents survive the way there and back."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import MalformedMessage, NewerMessage
from shared.domain.ids import CampaignId, DeviceId, PackagePath, device_id, ring_position
from shared.domain.offers import Offer
from shared.domain.rollouts import REPORTABLE, OrderMark, Report, RolloutState
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch
from shared.wire import twins
from shared.wire.keys import device_of, row_key
from shared.wire.messages import (
    BatchVisit,
    BatchWork,
    read_batch_visit,
    read_batch_work,
    read_campaign_step,
    write_message,
)

DEVICE_IDS = st.text(string.ascii_letters + string.digits + "-.%_*?!(),:=@$'#+", min_size=1, max_size=128)
BATCH = DeviceBatch(wave=1, shard=0, number=2, first=DeviceId("a#?"), last=DeviceId("z'"), count=99)
MARK = OrderMark(last_updated=datetime(2026, 1, 1, tzinfo=UTC), version=4)


def test_a_message_reads_as_it_was_written() -> None:
    work = BatchWork(campaign=CampaignId("c-1"), batch=BATCH, purpose=BatchPurpose.OFFER, step=3)

    assert read_batch_work(write_message(work)) == work


def test_a_visit_written_before_visits_said_when_they_were_due_still_reads() -> None:
    visit = BatchVisit(campaign=CampaignId("c-1"), batch=BATCH)
    document = json.loads(write_message(visit))

    assert "due_epoch_s" not in document
    assert read_batch_visit(json.dumps(document | {"due_epoch_s": None}).encode()) == visit


def test_a_message_says_only_what_is_not_as_it_always_was() -> None:
    """A field of a later version must not make every message of it unreadable for instances of this one."""
    work = BatchWork(campaign=CampaignId("c-1"), batch=BATCH, purpose=BatchPurpose.OFFER, step=3)

    assert json.loads(write_message(work)).keys() == {"v", "campaign", "batch", "purpose", "step"}
    assert json.loads(write_message(replace(work, retry=2))).keys() == {
        *("v", "campaign", "batch", "purpose", "step", "retry")
    }


@pytest.mark.parametrize(
    "changes",
    [{"v": 2}, {"surprise": True}, {"purpose": "dance"}, {"v": 7, "purpose": 3}],
    ids=["version", "field", "word", "whatever a version brings"],
)
def test_a_message_that_a_newer_version_may_have_written_is_told_apart(changes: dict[str, object]) -> None:
    work = BatchWork(campaign=CampaignId("c-1"), batch=BATCH, purpose=BatchPurpose.OFFER, step=3)
    body = json.dumps(json.loads(write_message(work)) | changes).encode()

    with pytest.raises(NewerMessage):
        read_batch_work(body)


@pytest.mark.parametrize("changes", [{"v": 0}, {"v": None}, {"v": "2"}, {"step": "x", "surprise": True}])
def test_what_no_version_writes_is_not_taken_for_a_newer_message(changes: dict[str, object]) -> None:
    work = BatchWork(campaign=CampaignId("c-1"), batch=BATCH, purpose=BatchPurpose.OFFER, step=3)
    body = json.dumps(json.loads(write_message(work)) | changes).encode()

    with pytest.raises(MalformedMessage) as caught:
        read_batch_work(body)
    assert not isinstance(caught.value, NewerMessage)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"v":2,"campaign":"c-1","step":1}', b'{"v":1,"step":1}',
     b'{"v":1,"campaign":"c-1","step":"x"}',
     b'{"v":1,"campaign":"c-1","step":1,"surprise":true}'],
)  # fmt: skip
def test_a_message_of_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_campaign_step(body)


@given(DEVICE_IDS)
def test_every_device_id_makes_a_legal_table_key_and_comes_back(text: str) -> None:
    device = device_id(text)
    key = row_key(device)

    assert device_of(key) == device
    assert not set(key) & set("/\\#?'\t\n\r%")
    assert int(key[:8], 16) == ring_position(device)


@given(st.text(string.ascii_letters + "._+- %$", min_size=1, max_size=40))
def test_every_package_name_makes_a_legal_twin_key_and_comes_back(name: str) -> None:
    key = twins.escape_key(name)

    assert twins.unescape_key(key) == name
    assert not set(key) & set(". $")


def test_an_offer_reads_as_it_was_written() -> None:
    offer = Offer(
        device=DeviceId("d"), campaign=CampaignId("c-1"), wave=1, attempt=1, sequence=7,
        path=PackagePath("fw/1.0/fw-1.0.img"), envelope="{}", proof="0.1", ticket="k.c.m",
    )  # fmt: skip

    desired = {"update": json.loads(json.dumps(twins.write_offer(offer)))}

    assert twins.read_offer(DeviceId("d"), desired) == offer
    assert twins.read_offer(DeviceId("d"), {"update": None}) is None
    assert twins.read_offer(DeviceId("d"), {}) is None


@given(st.sampled_from(sorted(REPORTABLE)), st.dictionaries(st.sampled_from(["libc6.1", "app"]), st.just("1.0")))
def test_a_report_reads_as_it_was_written(state: RolloutState, installed: dict[str, str]) -> None:
    report = Report(
        device=DeviceId("d"), campaign=CampaignId("c-1"), wave=1, attempt=1, sequence=7, state=state, code="x",
        installed=installed, agent_version="1", mark=MARK,
    )  # fmt: skip
    document = json.loads(json.dumps(twins.write_report(report)))

    assert twins.is_whole_report(document)
    assert twins.read_report(DeviceId("d"), document, MARK) == report


@pytest.mark.parametrize(
    "change",
    [
        {"state": "offered"},
        {"state": "timed_out"},
        {"state": "flying"},
        {"wave": "1"},
        {"installed": []},
        {"agent": None},
    ],
)
def test_a_report_no_device_may_make_is_malformed(change: dict[str, object]) -> None:
    report = {
        "campaign": "c-1",
        "wave": 1,
        "attempt": 1,
        "sequence": 1,
        "state": "failed",
        "installed": {},
        "agent": "1",
    }
    assert twins.read_report(DeviceId("d"), report, MARK)

    with pytest.raises(MalformedMessage):
        twins.read_report(DeviceId("d"), report | change, MARK)


def test_what_a_malformed_report_says_is_quoted_in_part_only() -> None:
    report = {"campaign": "c-1", "wave": 1, "attempt": 1, "sequence": 1, "state": "x" * 9_000, "installed": {}}
    with pytest.raises(MalformedMessage) as caught:
        twins.read_report(DeviceId("d"), report | {"agent": "1"}, MARK)
    assert "xxx" in caught.value.message
    assert len(caught.value.message) < 200
