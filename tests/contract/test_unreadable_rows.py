"""Rows that a newer version wrote: stores say so, hand out all others, and change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_operations import AzureOperations
from shared.adapters.azure_packages_table import AzurePackages
from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.operations import Operation
from shared.domain.packages import PackageState, RegisteredPackage
from shared.domain.rollouts import Rollout, RolloutState, move
from shared.domain.waves import DeviceBatch
from shared.ports.errors import UnreadableRow
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.keys import DEVICES_PARTITION, rollout_partition, row_key
from shared.wire.rollout_rows import counters_key
from tests.support.made_campaigns import make_campaign, make_variant
from tests.support.rollouts import CAMPAIGN, make_rollout
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DEVICES = [DeviceId("gw-1"), DeviceId("gw-2")]


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "newer") as table:
        yield table


def say_more(table: TableClient, partition: str, row: str, **more: Any) -> None:
    """What an instance of a newer version writes into the row."""
    table.update_entity({"PartitionKey": partition, "RowKey": row, **more}, mode=UpdateMode.MERGE)


def say_more_in_spec(table: TableClient, campaign: str, row: str = "campaign") -> None:
    """A field that the newer version knows."""
    spec = json.loads(table.get_entity(campaign, row)["spec"])
    say_more(table, campaign, row, spec=json.dumps(spec | {"novelty": 1}))


def downloading(row: Stored[Rollout]) -> RolloutChange:
    """What a report makes of the row."""
    return RolloutChange(before=row, after=move(row.value, RolloutState.DOWNLOADING, now=NOW))


@pytest.mark.parametrize("place", ["campaign", "wave~0001"])
def test_a_campaign_that_uses_what_is_new_is_not_read_and_all_others_are(table: TableClient, place: str) -> None:
    store = AzureCampaigns(table)
    ids = [CampaignId(f"camp-{number}") for number in range(4)]
    for campaign in ids:
        store.create(replace(make_campaign(DEVICES), id=campaign))
    say_more_in_spec(table, "camp-1", place)

    with pytest.raises(UnreadableRow, match=r"the row camp-1/campaign cannot be read.*novelty"):
        store.get(ids[1])
    assert [store.get(campaign).value.id for campaign in (ids[0], *ids[2:])] == [ids[0], *ids[2:]]


def test_listings_hand_out_all_others_first(table: TableClient) -> None:
    store = AzureCampaigns(table)
    for number in range(4):
        store.create(replace(make_campaign(DEVICES), id=CampaignId(f"camp-{number}")))
    say_more_in_spec(table, "camp-1")
    listed = []

    with pytest.raises(UnreadableRow, match="camp-1/campaign"):
        for campaign in store.list_unfinished():
            listed.append(campaign.id)
    assert listed == ["camp-0", "camp-2", "camp-3"]
    page = store.list_page(size=10)
    assert [campaign.id for campaign in page.items] == listed
    assert page.unreadable.keys() == {"camp-1"}
    assert page.unreadable["camp-1"].startswith("the row camp-1/campaign cannot be read")


def test_a_row_of_a_device_that_says_more_is_neither_read_nor_written_over(table: TableClient) -> None:
    store = AzureRollouts(table)
    rows = [make_rollout(device) for device in DEVICES]
    store.create_batch(CAMPAIGN, 0, rows)
    before = store.read_devices(CAMPAIGN, 0, DEVICES)
    partition = rollout_partition(CAMPAIGN, 0)
    say_more(table, partition, row_key(DEVICES[0]), novelty="new")
    batch = DeviceBatch(wave=1, shard=0, number=0, first=DEVICES[0], last=DEVICES[1], count=2)

    for read in (
        lambda: store.read_devices(CAMPAIGN, 0, DEVICES),
        lambda: store.read_batch(CAMPAIGN, batch),
        lambda: store.read_batch(CAMPAIGN, replace(batch, first=DEVICES[1], last=DEVICES[0])),
    ):
        with pytest.raises(UnreadableRow, match="unknown columns novelty"):
            read()
    assert store.read_devices(CAMPAIGN, 0, DEVICES[1:]).keys() == {DEVICES[1]}
    late = before[DEVICES[0]]
    with pytest.raises(Exception, match="changed"):
        store.write(CAMPAIGN, 0, [downloading(late)])
    assert table.get_entity(partition, row_key(DEVICES[0]))["novelty"] == "new"


def test_counters_of_a_state_that_nobody_knows_yet_are_neither_read_nor_written_over(table: TableClient) -> None:
    """The store remembers the row as it was before: the write fails, and the row is read anew."""
    store = AzureRollouts(table, patience_s=0.5)
    store.create_batch(CAMPAIGN, 0, [make_rollout(device) for device in DEVICES])
    partition = rollout_partition(CAMPAIGN, 0)
    say_more(table, partition, counters_key(1), count_dreaming=1)

    found = store.read_devices(CAMPAIGN, 0, DEVICES[:1])[DEVICES[0]]
    with pytest.raises(UnreadableRow, match="count_dreaming"):
        store.write(CAMPAIGN, 0, [downloading(found)])
    with pytest.raises(UnreadableRow, match="count_dreaming"):
        store.read_counters(CAMPAIGN, 1, 1)
    assert table.get_entity(partition, counters_key(1))["count_dreaming"] == 1
    assert table.get_entity(partition, row_key(DEVICES[0]))["state"] == "offered"


def test_a_device_row_that_says_more_is_left_alone(table: TableClient) -> None:
    store = AzureDevices(table)
    store.write([Stored(value=DeviceRecord(device=device, changed_at=NOW), etag="") for device in DEVICES])
    say_more(table, DEVICES_PARTITION, row_key(DEVICES[0]), novelty=True)

    with pytest.raises(UnreadableRow, match="novelty"):
        store.read_batch(DEVICES)
    assert store.read_batch(DEVICES[1:]).keys() == {DEVICES[1]}


def test_a_dry_run_and_a_package_that_say_more_come_last_and_are_left_alone(table: TableClient) -> None:
    operations, packages = AzureOperations(table), AzurePackages(table)
    for name in ("o1", "o2"):
        draft = make_campaign(DEVICES)
        operations.create(Operation(id=OperationId(name), draft=draft, step_due_at=NOW, created_at=NOW, changed_at=NOW))
        package = make_variant(name, "mk2")
        packages.create(RegisteredPackage(package=package, state=PackageState.ACCEPTED, accepted_at=NOW))
    say_more(table, "o1", "operation", draft_novelty=1)
    [row] = table.query_entities("PartitionKey eq 'packages' and name eq 'o1' and kind ne ''")
    say_more(table, "packages", row["RowKey"], novelty=1)

    for listing in (operations.list_unfinished(), operations.list_unchanged(NOW), packages.list_unsettled()):
        assert next(listing)
        with pytest.raises(UnreadableRow, match="novelty"):
            next(listing)
