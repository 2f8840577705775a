"""Reports survive the way from the relay to the fold, in documents of bounded size."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import MalformedMessage
from shared.domain.rollouts import Report
from shared.wire.reports import MAX_BYTES, read_report_batch, write_report_batches
from tests.support.rollouts import CAMPAIGN, ODD_DEVICES, make_report

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    return make_report(
        device=draw(st.sampled_from(ODD_DEVICES)),
        state=draw(st.sampled_from(["downloading", "restarting", "succeeded", "failed"])),
        at=draw(st.integers(min_value=1, max_value=10**6)),
        detail=draw(texts),
        installed=draw(st.dictionaries(st.from_regex(r"[a-z][a-z0-9._+-]{0,20}", fullmatch=True), texts, max_size=2)),
    )


@given(said=st.lists(reports(), max_size=150))
def test_reports_come_back_as_they_were_and_in_order(said: list[Report]) -> None:
    documents = list(write_report_batches(CAMPAIGN, 3, said))
    batches = [read_report_batch(document) for document in documents]
    assert [report for batch in batches for report in batch.reports] == said
    assert all(batch.shard == 3 and len(batch.reports) <= 99 for batch in batches)


def test_long_details_make_more_documents_rather_than_too_long_ones() -> None:
    said = [make_report(device=f"gw-{number}", detail="\U0001f4a9" * 512, code="ß" * 512) for number in range(99)]
    documents = list(write_report_batches(CAMPAIGN, 0, said))
    assert len(documents) > 1
    assert max(map(len, documents)) <= MAX_BYTES + 100
    assert sum(len(read_report_batch(document).reports) for document in documents) == 99


def test_half_a_surrogate_pair_from_a_device_stops_nobody() -> None:
    [document] = write_report_batches(CAMPAIGN, 0, [make_report(detail="\ud800")])
    assert read_report_batch(document).reports[0].detail == "?"


def test_a_parsed_document_is_read_like_its_bytes() -> None:
    [document] = write_report_batches(CAMPAIGN, 0, [make_report()])
    assert read_report_batch(json.loads(document)) == read_report_batch(document)


@pytest.mark.parametrize(
    "document",
    [b"{}", b"[]", b"\xff", b'{"v": 2}', b'{"v": 1, "campaign": "spring-fix", "shard": 0, "reports": [{}]}', b"null"],
)
def test_anything_else_is_malformed(document: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_report_batch(document)
