"""What every campaign store does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_campaigns import AzureCampaigns
from shared.domain.approvals import Approval, ApprovalPolicy, Consents
from shared.domain.campaign_specs import CampaignSpec, DeviceList, DeviceQuery
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import DomainError
from shared.domain.gates import Counters, Gate
from shared.domain.hearsay import Hearsay, Named
from shared.domain.ids import CampaignId, DeviceId, package_name
from shared.domain.packages import Package, PackageKind
from shared.domain.pending_edits import PendingEdit
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.rollouts import PackageTarget, RolloutState
from shared.domain.schedules import Schedule
from shared.domain.skips import SkipCounts, SkipReason
from shared.domain.verdicts import judge_wave
from shared.domain.versions import Version, VersionScheme
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DeviceCount, Percent, Rest, Wave, WaveSpec, WaveState
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.stored import Stored
from tests.support.made_campaigns import make_variant, with_packages
from tests.support.memory_campaigns import MemoryCampaigns
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
SPECS = (
    WaveSpec(name="canaries", size=DeviceCount(devices=2), gate=Gate(soak_s=1.5, failure_percent=None)),
    WaveSpec(name="tenth", size=Percent(percent=10), gate=Gate(failure_count=3, silent_percent=None)),
    WaveSpec(name="rest", size=Rest()),
)


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "campaigns") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> CampaignStore:
    return MemoryCampaigns() if request.param == "memory" else AzureCampaigns(request.getfixturevalue("table"))


def make(number: int = 1, **changes: object) -> Campaign:
    campaign = Campaign(
        id=CampaignId(f"c{number:04d}"),
        spec=CampaignSpec(
            name="Früh'ling",
            package=PackageTarget(name="tool", version="1:2.0-1"),
            targets=DeviceQuery(query="SELECT * FROM devices WHERE tags.place = 'Zürich'"),
            waves=SPECS,
            allow_downgrade=True,
            approval=ApprovalPolicy(required=2, between_waves=True),
            schedule=Schedule(start_at=NOW, end_at=NOW + timedelta(hours=1)),
        ),
        package=Package(
            name=package_name("tool"),
            version=Version("1:2.0-1", VersionScheme.DEBIAN),
            kind=PackageKind.DEBIAN,
            length_bytes=3 * 2**32,
            sha256="ab" * 32,
            created=NOW,
            compatibility={"architecture": ("amd64", "arm64")},
        ),
        shards=2,
        step_due_at=NOW,
        requested_by="ada@example",
        created_at=NOW,
        changed_at=NOW,
        request_sha256="cd" * 32,
    )
    return replace(campaign, **changes)  # type: ignore[arg-type]


def planned(campaign: Campaign) -> Campaign:
    first = Wave(
        number=1,
        spec=SPECS[0],
        start=0,
        stop=2,
        batches=1,
        dispatched=1,
        state=WaveState.SOAKING,
        started_at=NOW,
        soak_until=NOW + timedelta(seconds=1.5),
        acknowledged=Counters(by_state={RolloutState.FAILED: 1, RolloutState.TIMED_OUT: 2}),
        verdict=judge_wave(
            Gate(confidence_percent=95),
            Counters(by_state={RolloutState.SUCCEEDED: 2, RolloutState.SKIPPED: 3}),
            skips=SkipCounts(by_reason={SkipReason.NOT_FOUND: 1, SkipReason.HELD: 2}),
        ),
        reason="2 of 2",
    )
    others = (Wave(number=2, spec=SPECS[1], start=2, stop=12), Wave(number=3, spec=SPECS[2], start=12, stop=99))
    return replace(
        campaign,
        state=CampaignState.RUNNING,
        is_forced=True,
        is_reopened=True,
        targets=99,
        step=7,
        planning=Planning(
            phase=PlanningPhase.DONE,
            page=3,
            listed=120,
            claimed_wave=3,
            skipped=4,
            manifest_sha256="ef" * 32,
            heard=Hearsay(looked_at=120, unheard=Named(count=1, first=(DeviceId("gw-ü"),))),
        ),
        consents=Consents(
            approvals=(Approval(who="Grace <g>", at=NOW, wave=1, plan_sha256="0" * 64, remark="schön"),),
            is_started_early=True,
        ),
        waves=(first, *others),
    )


def test_a_campaign_is_read_back_as_it_was_written(store: CampaignStore) -> None:
    store.create(make())
    assert store.get(CampaignId("c0001")).value == make()


def test_a_campaign_of_several_packages_is_read_back_whole(store: CampaignStore) -> None:
    packages = [make_variant(f"fw-{number}", *(f"gw-{number}-{kind}" for kind in range(40))) for number in range(8)]
    several = with_packages(make(), packages)
    store.create(several)
    assert store.get(several.id).value == several


def test_a_campaign_written_before_there_were_several_is_of_one(table: TableClient) -> None:
    store = AzureCampaigns(table)
    store.create(make())
    row = dict(table.get_entity("c0001", "campaign"))
    del row["other_package_records"]
    table.update_entity(row, mode=UpdateMode.REPLACE)
    assert store.get(CampaignId("c0001")).value == make()


def test_waves_are_written_with_their_campaign(store: CampaignStore) -> None:
    store.create(make())
    store.save(Stored(value=planned(make()), etag=store.get(CampaignId("c0001")).etag))
    assert store.get(CampaignId("c0001")).value == planned(make())


def test_waves_that_an_edit_takes_away_are_gone(store: CampaignStore) -> None:
    store.create(planned(make()))
    other = store.get(CampaignId("c0001")).value
    store.create(replace(other, id=CampaignId("c0002")))
    planning = replace(other.planning, phase=PlanningPhase.CUTTING)
    fewer = replace(other, waves=other.waves[:1], planning=planning)
    edit = PendingEdit(waves=SPECS[:1], conditions=("tags.a = 1",), by="grace", at=NOW, first_page=7, page=7)
    saved = store.save(replace(store.get(CampaignId("c0001")), value=replace(fewer, wave_edit=edit)))
    assert store.get(CampaignId("c0001")).value == replace(fewer, wave_edit=edit)
    again = store.save(replace(saved, value=replace(fewer, reason="again")))
    store.save(replace(again, value=replace(other, planning=planning)))
    assert store.get(CampaignId("c0001")).value.waves == other.waves
    assert store.get(CampaignId("c0002")).value.waves == other.waves


def test_an_etag_from_a_write_serves_the_next_write(store: CampaignStore) -> None:
    store.create(make())
    saved = store.save(replace(store.get(CampaignId("c0001")), value=planned(make())))
    store.save(replace(saved, value=replace(saved.value, reason="again")))
    assert store.get(CampaignId("c0001")).value.reason == "again"


def test_a_write_over_somebody_elses_is_refused_and_changes_nothing(store: CampaignStore) -> None:
    store.create(make())
    mine = theirs = store.get(CampaignId("c0001"))
    store.save(replace(theirs, value=replace(make(), reason="theirs")))
    with pytest.raises(ConcurrentChange):
        store.save(replace(mine, value=planned(make())))
    found = store.get(CampaignId("c0001")).value
    assert (found.reason, found.waves) == ("theirs", ())


def test_an_id_is_taken_once(store: CampaignStore) -> None:
    store.create(make())
    with pytest.raises(AlreadyExists):
        store.create(make(reason="other"))
    assert store.get(CampaignId("c0001")).value.reason == ""


def test_an_unknown_campaign_is_not_there(store: CampaignStore) -> None:
    with pytest.raises(NotThere):
        store.get(CampaignId("nobody"))


def test_campaigns_are_listed_page_by_page_without_their_waves(store: CampaignStore) -> None:
    for number in range(5):
        store.create(planned(make(number)))
    found, continuation = [], ""
    for _ in range(10):
        page = store.list_page(size=2, continuation=continuation)
        found += page.items
        if not (continuation := page.continuation):
            break
    assert sorted(campaign.id for campaign in found) == [f"c{number:04d}" for number in range(5)]
    assert all(campaign.waves == () for campaign in found)


def test_unfinished_are_those_that_await_a_step(store: CampaignStore) -> None:
    states = [CampaignState.PLANNING, CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.COMPLETED]
    for number, state in enumerate(states):
        store.create(make(number, state=state))
    store.create(make(4, state=CampaignState.ABORTED))
    store.create(
        make(5, state=CampaignState.ABORTED, walks=(Walk(purpose=BatchPurpose.RECALL, wave=2, last_wave=3, batches=3),))
    )
    assert sorted(campaign.id for campaign in store.list_unfinished()) == ["c0000", "c0001", "c0005"]


def test_a_campaign_over_a_list_keeps_the_lists_digest(store: CampaignStore) -> None:
    spec = replace(make().spec, targets=DeviceList(count=3, sha256="ef" * 32))
    store.create(make(spec=spec))
    assert store.get(CampaignId("c0001")).value.spec == spec


def test_a_person_reads_the_rows_with_plain_queries(table: TableClient) -> None:
    store = AzureCampaigns(table)
    store.create(planned(make()))
    (own,) = table.query_entities("RowKey eq 'campaign' and state eq 'running' and package eq 'tool'")
    assert (own["name"], own["version"], own["targets"], own["skipped"]) == ("Früh'ling", "1:2.0-1", 99, 4)
    waves = list(table.query_entities("PartitionKey eq 'c0001' and RowKey ge 'wave~'"))
    assert [(wave["name"], wave["state"], wave["devices"]) for wave in waves] == [
        ("canaries", "soaking", 2),
        ("tenth", "pending", 10),
        ("rest", "pending", 87),
    ]


@pytest.mark.parametrize("text", ["bm9uc2Vuc2U=", "MQ==", "W10=", "e30=", "!"])
def test_a_continuation_nobody_gave_out_is_refused(table: TableClient, text: str) -> None:
    with pytest.raises(DomainError, match="continuation"):
        AzureCampaigns(table).list_page(size=2, continuation=text)
