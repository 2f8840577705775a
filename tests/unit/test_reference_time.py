"""The time the agent judges by, and the one place where the TUF client is told it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Timestamp

from agent.adapters.index_updater import ReferenceUpdater
from agent.adapters.reference_time import ReferenceTime
from shared.trust.index import make_timestamp
from tests.support.agent import MovedClock
from tests.support.agent_service import SignedIndex
from tests.support.served_files import FilesFetcher

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


def _root(index: SignedIndex) -> Root:
    return Metadata[Root].from_bytes(index.root).signed


def _timestamp(issued: datetime, expires: datetime) -> Timestamp:
    return make_timestamp(1, expires, MetaFile(1), issued=issued)


def test_time_never_falls_behind_the_newest_signed_one_even_in_a_new_process(tmp_path: Path) -> None:
    root, path = _root(SignedIndex()), tmp_path / "state/issued.json"
    time = ReferenceTime(MovedClock(-9_000 * DAY), path)
    assert time.now() < NOW - 8_999 * DAY

    time.learn(root, _timestamp(NOW, NOW + DAY))
    time.learn(root, _timestamp(NOW - DAY, NOW + DAY))
    assert time.now() == NOW
    assert ReferenceTime(MovedClock(-9_000 * DAY), path).now() == NOW
    assert ReferenceTime(MovedClock(), path).now() > NOW


def test_a_clock_that_runs_ahead_is_not_remembered(tmp_path: Path) -> None:
    root, path = _root(SignedIndex()), tmp_path / "issued.json"
    ahead = ReferenceTime(MovedClock(9_000 * DAY), path)
    assert ahead.now() > NOW + 8_999 * DAY
    ahead.learn(root, _timestamp(NOW, NOW + DAY))
    assert ReferenceTime(MovedClock(-DAY), path).now() == NOW


def test_what_claims_to_be_issued_after_its_own_end_is_not_believed(tmp_path: Path) -> None:
    time = ReferenceTime(MovedClock(), tmp_path / "issued.json")
    time.learn(_root(SignedIndex()), _timestamp(NOW + 9 * DAY, NOW + DAY))
    assert time.now() < NOW + DAY


def test_times_that_replaced_keys_signed_are_forgotten(tmp_path: Path) -> None:
    time = ReferenceTime(MovedClock(), tmp_path / "issued.json")
    stolen, replaced = _root(SignedIndex()), _root(SignedIndex())
    time.learn(stolen, _timestamp(NOW + 900 * DAY, NOW + 901 * DAY))
    assert time.under(stolen) == NOW + 900 * DAY
    assert time.under(replaced) < NOW + DAY


@pytest.mark.parametrize("content", [b"", b"{}", b'{"issued": "soon", "keys": []}'])
def test_a_damaged_file_leaves_the_clock(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "issued.json").write_bytes(content)
    assert abs(ReferenceTime(MovedClock(), tmp_path / "issued.json").now() - datetime.now(UTC)) < DAY


@pytest.mark.parametrize("wrong_by", [timedelta(), 8 * DAY], ids=["right", "ahead"])
def test_the_tuf_client_judges_expiry_by_this_time_and_no_other(tmp_path: Path, wrong_by: timedelta) -> None:
    """Fails should tuf come to take its time elsewhere."""
    index = SignedIndex()
    time = ReferenceTime(MovedClock(wrong_by), tmp_path / "issued.json")
    updater = ReferenceUpdater(tmp_path, "https://x/", fetcher=FilesFetcher(index.files), root=index.root, time_=time)
    if wrong_by:
        with pytest.raises(ExpiredMetadataError):
            updater.refresh()
    else:
        updater.refresh()
