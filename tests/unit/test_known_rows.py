"""Instances of two versions run side by side while an upgrade lasts: what one writes, the other reads or leaves alone.

The columns and fields named here are those that every version so far reads. One that is added later must be left out
where it says nothing new; then this page stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.domain.approvals import Consents
from shared.domain.campaign_specs import CampaignSpec, Deadlines, DeviceQuery
from shared.domain.campaigns import Campaign
from shared.domain.cohorts import Quarantine, Tally
from shared.domain.conflicts import Precedence
from shared.domain.devices import DeviceRecord
from shared.domain.gates import Counters, Gate
from shared.domain.groups import Group, group_name
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.operations import Operation
from shared.domain.packages import PackageState, PackageWithdrawal, RegisteredPackage
from shared.domain.planning import Planning
from shared.domain.rates import ConstantRate, ExponentialRate, Pace
from shared.domain.retries import Retries
from shared.domain.reversions import Reversion
from shared.domain.rollouts import OrderMark, PackageTarget, Rollout, RolloutState
from shared.domain.schedules import Schedule
from shared.domain.skips import SkipCounts, SkipReason
from shared.domain.stops import FleetStop
from shared.domain.targeting import Targeting
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DeviceCount, Matching, Percent, Rest, Wave, WaveSpec
from shared.domain.windows import Window
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_signed_spec, write_wave_row
from shared.wire.device_rows import read_device, write_device
from shared.wire.group_rows import read_group_row, write_group_row
from shared.wire.operation_rows import read_operation, write_operation_row
from shared.wire.package_rows import read_package_row, write_package_row
from shared.wire.rollout_rows import read_rollout, read_tally, write_rollout, write_tally
from shared.wire.stop_rows import read_stop, write_stop
from tests.support.made_campaigns import make_variant

type Row = dict[str, Any]

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PLAIN_SPEC = CampaignSpec(
    name="Spring",
    package=PackageTarget(name="tool", version="2.0"),
    targets=DeviceQuery(query="SELECT * FROM devices"),
    waves=(WaveSpec(name="rest", size=Rest()),),
)
RICH_SPEC = replace(
    PLAIN_SPEC,
    waves=(
        WaveSpec(name="two", size=DeviceCount(devices=2), gate=Gate(soak_s=5, failure_percent=None)),
        WaveSpec(name="tenth", size=Percent(percent=10), gate=Gate(silent_percent=None)),
        WaveSpec(name="ring", size=Matching(condition="tags.ring = 'x'")),
        WaveSpec(name="rest", size=Rest()),
    ),
    windows=(Window(days=(1,), start=NOW.time(), end=NOW.time()),),
    retries=Retries(maximum=2),
    pace=Pace(rate=ExponentialRate(base_per_minute=1, factor=2, after_succeeded=3, maximum_per_minute=9)),
    schedule=Schedule(start_at=NOW),
    quarantine=Quarantine(),
    retention_days=0,
)


def make(spec: CampaignSpec = PLAIN_SPEC, **changes: Any) -> Campaign:
    campaign = Campaign(
        id=CampaignId("c-1"),
        spec=spec,
        package=make_variant("tool", "mk2"),
        shards=1,
        step_due_at=NOW,
        requested_by="ada",
        created_at=NOW,
        changed_at=NOW,
        waves=tuple(Wave(number=number, spec=wave, start=0, stop=1) for number, wave in enumerate(spec.waves, start=1)),
    )
    return replace(campaign, **changes)


def write_whole(campaign: Campaign) -> tuple[Row, list[Row]]:
    return write_campaign_row(campaign), [write_wave_row(campaign, wave) for wave in campaign.waves]


RICH = make(
    RICH_SPEC,
    planning=Planning(page=2, by_variant=(1, 2)),
    reversion=Reversion(number=2, ordered_at=NOW),
    walks=(Walk(purpose=BatchPurpose.SKIP, last_wave=2),),
    state_since=NOW,
)
ROLLOUT = Rollout(
    device=DeviceId("d"), campaign=CampaignId("c-1"), wave=1, batch=0, sequence=3, changed_at=NOW, sent_at=NOW,
    due_at=NOW, retry_at=NOW, past_state=RolloutState.FAILED, past_code="x", hardware="mk2",
    mark=OrderMark(last_updated=NOW, version=1), state_mark=OrderMark(last_updated=NOW, version=1),
    other_mark=OrderMark(last_updated=NOW, version=1),
)  # fmt: skip
PACKAGE = RegisteredPackage(
    package=make_variant("tool", "mk2"),
    state=PackageState.WITHDRAWN,
    source="incoming/tool",
    accepted_at=NOW,
    published_at=NOW,
    withdrawal=PackageWithdrawal(at=NOW, by="ada", reason="bad"),
)
RECORD = DeviceRecord(
    device=DeviceId("d"), sequence=3, held_by=CampaignId("c-1"), installed={"tool": "1"}, hardware="mk2",
    known_since=NOW, deleted_at=NOW, changed_at=NOW,
)  # fmt: skip
GROUP = Group(name=group_name("all"), query="SELECT * FROM devices", number=1, changed_by="ada", changed_at=NOW)
STOP = FleetStop(number=1, reason="x", stopped_by="ada", stopped_at=NOW, released_by="ada", released_at=NOW)
OPERATION = Operation(id=OperationId("o-1"), draft=RICH, step_due_at=NOW, created_at=NOW, changed_at=NOW)
TALLY = Tally(
    counters=Counters(by_state={state: number for number, state in enumerate(RolloutState)}),
    skips=SkipCounts(by_reason=dict.fromkeys(SkipReason, 1)),
)
ROWS: Mapping[str, tuple[Row, Callable[[Row], object], object]] = {
    "rollout": (write_rollout(ROLLOUT, 0), read_rollout, ROLLOUT),
    "package": (write_package_row(PACKAGE), read_package_row, PACKAGE),
    "device": (write_device(RECORD), read_device, RECORD),
    "group": (write_group_row(GROUP), read_group_row, GROUP),
    "stop": (write_stop(STOP, "hub"), read_stop, STOP),
    "operation": (write_operation_row(OPERATION), read_operation, OPERATION),
    "counters": (
        write_tally(TALLY, CampaignId("c-1"), 0, 1),
        read_tally,
        TALLY,
    ),
    "campaign": (write_campaign_row(RICH), lambda row: replace(read_campaign(row), waves=RICH.waves), RICH),
}


@pytest.mark.parametrize("kind", ROWS)
def test_every_row_is_read_as_it_was_written_and_left_alone_with_a_column_more(kind: str) -> None:
    row, read, value = ROWS[kind]
    assert read(row) == value

    with pytest.raises(ValueError, match="unknown columns novelty"):
        read(row | {"novelty": 1})


def test_a_draft_with_a_column_more_is_left_alone() -> None:
    with pytest.raises(ValueError, match="novelty"):
        read_operation(write_operation_row(OPERATION) | {"draft_novelty": 1})


JSON_COLUMNS = ["spec", "planning", "newcomers", "consents", "reversion"]


@pytest.mark.parametrize("column", JSON_COLUMNS)
def test_a_campaign_with_a_field_that_a_newer_version_knows_is_left_alone(column: str) -> None:
    row = write_campaign_row(RICH)
    row[column] = json.dumps(json.loads(row[column]) | {"novelty": 1})

    with pytest.raises(ValueError, match="novelty"):
        read_campaign(row)


def test_a_wave_of_a_newer_kind_a_walk_and_a_state_that_nobody_knows_yet_are_left_alone() -> None:
    own, waves = write_whole(RICH)
    for changed in (
        (own | {"state": "dreaming"}, waves),
        (own | {"walks": own["walks"].replace("skip", "dance")}, waves),
        (own, [*waves[:-1], waves[-1] | {"spec": '{"name": "rest", "size": {"novelty": 1}}'}]),
        (own, [*waves[:-1], waves[-1] | {"novelty": 1}]),
    ):
        with pytest.raises(ValueError, match=r"dreaming|Input should be|novelty|Unexpected|permitted"):
            read_campaign(*changed)


def test_a_plain_campaigns_row_says_nothing_that_older_versions_do_not_know() -> None:
    own, waves = write_whole(make())

    assert own.keys() == {
        *("PartitionKey", "RowKey", "name", "state", "reason", "package", "version", "targets", "skipped", "current"),
        *("phase", "step", "step_due_at", "awaits_step", "shards", "requested_by", "created_at", "changed_at"),
        *("request_sha256", "spec_signature", "spec", "package_record", "other_package_records", "planning"),
        *("quarantined", "paced", "forced", "reopened", "reversion", "newcomers", "wave_edit", "walks", "consents"),
        "archive",
    }
    assert json.loads(own["spec"]) == {
        "name": "Spring",
        "package": {"name": "tool", "version": "2.0"},
        "targets": {"query": "SELECT * FROM devices"},
        "waves": [{"name": "rest", "size": {}}],
    }
    assert {own[column] for column in ("planning", "newcomers", "consents")} == {"{}"}
    assert waves[0].keys() == {
        *("PartitionKey", "RowKey", "number", "name", "state", "reason", "start", "stop", "devices", "batches"),
        *("dispatched", "acknowledged", "verdict", "spec"),
    }
    assert (waves[0]["spec"], waves[0]["acknowledged"]) == ('{"name":"rest","size":{}}', "{}")


def test_plain_rows_of_devices_say_nothing_that_older_versions_do_not_know() -> None:
    plain = Rollout(device=DeviceId("d"), campaign=CampaignId("c-1"), wave=1, batch=0, sequence=1, changed_at=NOW)
    assert write_rollout(plain, 0).keys() == {
        *("PartitionKey", "RowKey", "device", "campaign", "wave", "batch", "state", "attempt", "sequence", "variant"),
        *("code", "detail", "progress", "installed", "former", "agent", "hardware", "changed_at", "sent"),
    }
    assert write_tally(Tally(), CampaignId("c-1"), 0, 1).keys() == {
        *("PartitionKey", "RowKey", "wave", "cohorts", "count_planned", "count_offered", "count_downloading"),
        *("count_downloaded", "count_installing", "count_restarting", "count_succeeded", "count_failed"),
        *("count_rejected", "count_timed_out", "count_cancelled", "count_skipped", "count_regressed"),
    }
    record = DeviceRecord(device=DeviceId("d"), changed_at=NOW)
    assert write_device(record).keys() == {
        *("PartitionKey", "RowKey", "device", "sequence", "held_by", "installed", "hardware", "changed_at"),
    }


def test_no_default_of_what_was_asked_for_ever_changes() -> None:
    """Columns and signatures leave defaults out: a changed one would change campaigns that are under way."""
    assert (Gate(), Deadlines(), Retries(), Precedence(), Pace(), Targeting(), Quarantine()) == (
        Gate(
            success_percent=100, success_count=None, failure_percent=0, failure_count=None, rejected_percent=None,
            rejected_count=None, silent_percent=10, silent_count=None, minimum_completed=1, confidence_percent=None,
            soak_s=0,
        ),
        Deadlines(offered_s=604_800, downloading_s=86_400, installing_s=3_600, restarting_s=3_600),
        Retries(maximum=0, backoff_s=60, factor=2, longest_s=3_600, jitter=0.2, codes=("*",), timed_out=False),
        Precedence(priority=500),
        Pace(rate=None, bandwidth_bytes_per_s=None),
        Targeting(relist_s=900),
        Quarantine(minimum=3, failure_percent=50),
    )  # fmt: skip
    words = [Gate().on_stop, Precedence().on_conflict, PLAIN_SPEC.on_late_failure, Schedule().at_end]
    assert [*words, Targeting().canaries, Targeting().membership] == [
        *("pause", "skip", "pause", "pause", "rotating", "snapshot")
    ]


@pytest.mark.parametrize("spec", [PLAIN_SPEC, RICH_SPEC], ids=["plain", "rich"])
def test_rows_from_before_defaults_were_left_out_read_the_same(spec: CampaignSpec) -> None:
    campaign = make(spec, planning=Planning(page=3), walks=(Walk(purpose=BatchPurpose.SKIP, last_wave=2),))
    own, waves = write_whole(campaign)

    def full(value: object, kind: Any) -> str:
        return TypeAdapter(kind).dump_json(value).decode()

    own |= {"spec": full(spec, CampaignSpec), "planning": full(campaign.planning, Planning)}
    own |= {
        "walks": full(campaign.walks, tuple[Walk, ...]),
        "consents": full(campaign.consents, Consents),
    }
    waves = [row | {"spec": full(wave.spec, WaveSpec)} for row, wave in zip(waves, campaign.waves, strict=True)]

    read = read_campaign(own, waves)
    assert '"on_stop":"pause"' in own["spec"]
    assert read == campaign
    assert write_signed_spec(read) == write_signed_spec(campaign)


def test_what_former_versions_wrote_and_nobody_needs_any_more_is_passed_over() -> None:
    campaign = make(reversion=Reversion(ordered_at=NOW))
    own = write_campaign_row(campaign) | {"withdrawal": "null"}
    own["reversion"] = json.dumps(json.loads(own["reversion"]) | {"wished_by": "ada"})

    assert read_campaign(own) == replace(campaign, waves=())


@pytest.mark.parametrize(
    "pace", [Pace(rate=ConstantRate(devices_per_minute=2)), Pace(bandwidth_bytes_per_s=7), RICH_SPEC.pace]
)
def test_kinds_are_told_apart_without_their_defaults(pace: Pace) -> None:
    campaign = make(replace(RICH_SPEC, pace=pace, deadlines=Deadlines(offered_s=timedelta(days=1).total_seconds())))

    assert read_campaign(*write_whole(campaign)) == campaign
