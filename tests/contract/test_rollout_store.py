"""What every rollout store does: rows and counters move together, conditionally, in ring order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.cohorts import Cohort, CohortCounts, End
from shared.domain.ids import DeviceId, ring_order, ring_position
from shared.domain.rollouts import Rollout, RolloutState, move
from shared.domain.waves import DeviceBatch
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import RolloutChange, RolloutStore
from shared.ports.stored import Stored
from tests.support.memory_rollouts import MemoryRollouts, counters_of
from tests.support.rollouts import CAMPAIGN, NOON, ODD_DEVICES, make_rollout, mark
from tests.support.tables import new_table

S = RolloutState


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> Iterator[RolloutStore]:
    if request.param == "memory":
        yield MemoryRollouts()
        return
    with new_table(request.getfixturevalue("storage_connection"), "rollout") as table:
        yield AzureRollouts(table)


def fleet(size: int, start: int = 0) -> list[DeviceId]:
    return sorted((DeviceId(f"gw-{number}") for number in range(size)), key=lambda device: ring_order(device, start))


def batch_of(devices: list[DeviceId], *, wave: int = 1, number: int = 0) -> DeviceBatch:
    return DeviceBatch(wave=wave, shard=0, number=number, first=devices[0], last=devices[-1], count=len(devices))


def plan(store: RolloutStore, devices: list[DeviceId], *, wave: int = 1, number: int = 0) -> DeviceBatch:
    rows = [make_rollout(device, S.PLANNED, wave=wave, batch=number) for device in devices]
    assert store.create_batch(CAMPAIGN, 0, rows)
    return batch_of(devices, wave=wave, number=number)


def offer(row: Stored[Rollout]) -> RolloutChange:
    return RolloutChange(before=row, after=move(row.value, S.OFFERED, now=NOON))


def counts(store: RolloutStore, wave: int = 1) -> dict[RolloutState, int]:
    return {state: count for state, count in store.read_counters(CAMPAIGN, wave, 1).by_state.items() if count}


def test_a_batch_is_read_back_in_ring_order_with_its_counters(store: RolloutStore) -> None:
    devices = fleet(99)
    batch = plan(store, devices)
    assert [row.value.device for row in store.read_batch(CAMPAIGN, batch)] == devices
    assert counts(store) == {S.PLANNED: 99}


def test_creating_a_batch_again_changes_nothing(store: RolloutStore) -> None:
    devices = fleet(3)
    batch = plan(store, devices)
    [first, *_] = store.read_batch(CAMPAIGN, batch)
    store.write(CAMPAIGN, 0, [offer(first)])
    assert not store.create_batch(CAMPAIGN, 0, [make_rollout(device, S.PLANNED) for device in devices])
    assert counts(store) == {S.PLANNED: 2, S.OFFERED: 1}


def test_a_batch_that_crosses_the_end_of_the_ring_is_whole(store: RolloutStore) -> None:
    devices = fleet(60, start=2**31)
    assert ring_position(devices[0]) > ring_position(devices[-1])
    batch = plan(store, devices)
    assert [row.value.device for row in store.read_batch(CAMPAIGN, batch)] == devices


def test_neighbouring_batches_and_counters_rows_stay_out_of_a_batch(store: RolloutStore) -> None:
    devices = fleet(90)
    batches = [
        plan(store, devices[start : start + 30], wave=wave, number=0) for wave, start in ((1, 0), (2, 30), (3, 60))
    ]
    for batch, start in zip(batches, (0, 30, 60), strict=True):
        assert [row.value.device for row in store.read_batch(CAMPAIGN, batch)] == devices[start : start + 30]


def to_wave(row: Stored[Rollout], wave: int, batch: int) -> RolloutChange:
    return RolloutChange(before=row, after=replace(row.value, wave=wave, batch=batch))


def test_rows_move_to_another_wave_with_both_counters(store: RolloutStore) -> None:
    devices = fleet(99)
    batch = plan(store, devices, wave=2)
    rows = store.read_batch(CAMPAIGN, batch)
    store.write(CAMPAIGN, 0, [RolloutChange(before=rows[0], after=move(rows[0].value, S.SKIPPED, now=NOON))])
    rows = store.read_batch(CAMPAIGN, batch)
    store.move(CAMPAIGN, 0, [to_wave(row, 3, 7) for row in rows[:98]])
    assert (counts(store, 2), counts(store, 3)) == ({S.PLANNED: 1}, {S.PLANNED: 97, S.SKIPPED: 1})
    assert [row.value.device for row in store.read_batch(CAMPAIGN, batch)] == devices[98:]
    there = DeviceBatch(wave=3, shard=0, number=7, first=devices[0], last=devices[97], count=98)
    assert [row.value.device for row in store.read_batch(CAMPAIGN, there)] == devices[:98]
    [last] = store.read_batch(CAMPAIGN, batch)
    store.move(CAMPAIGN, 0, [to_wave(last, 3, 8)])
    assert (counts(store, 2), counts(store, 3)) == ({}, {S.PLANNED: 98, S.SKIPPED: 1})


def skips(store: RolloutStore, wave: int) -> dict[str, int]:
    return {reason.value: count for reason, count in store.read_tally(CAMPAIGN, wave, 1).skips.by_reason.items()}


def test_why_rows_were_skipped_is_counted_with_them_and_goes_where_they_go(store: RolloutStore) -> None:
    devices = fleet(5)
    codes = ["held_by:other", "current", "current", "", ""]
    planned = zip(devices, codes, strict=True)
    rows = [make_rollout(each, S.SKIPPED if code else S.PLANNED, code=code, wave=2) for each, code in planned]
    assert store.create_batch(CAMPAIGN, 0, rows)
    batch = batch_of(devices, wave=2)
    assert skips(store, 2) == {"held_by": 1, "current": 2}
    *_, lost, offered = store.read_batch(CAMPAIGN, batch)
    gone = move(lost.value, S.SKIPPED, now=NOON, code="device_not_found")
    store.write(CAMPAIGN, 0, [RolloutChange(before=lost, after=gone), offer(offered)])
    assert skips(store, 2) == {"held_by": 1, "current": 2, "device_not_found": 1}
    store.move(CAMPAIGN, 0, [to_wave(row, 3, 0) for row in store.read_batch(CAMPAIGN, batch)[1:4]])
    assert (skips(store, 2), skips(store, 3)) == ({"held_by": 1}, {"current": 2, "device_not_found": 1})
    assert (counts(store, 2), counts(store, 3)) == ({S.SKIPPED: 1, S.OFFERED: 1}, {S.SKIPPED: 3})


def test_rows_that_change_only_their_batch_leave_the_counters_alone(store: RolloutStore) -> None:
    batch = plan(store, fleet(3))
    store.move(CAMPAIGN, 0, [to_wave(row, 1, 4) for row in store.read_batch(CAMPAIGN, batch)])
    assert counts(store) == {S.PLANNED: 3}
    assert store.read_batch(CAMPAIGN, batch) == []


def test_a_row_that_changed_since_it_was_read_does_not_move_and_nor_do_the_others(store: RolloutStore) -> None:
    batch = plan(store, fleet(3))
    rows = store.read_batch(CAMPAIGN, batch)
    store.write(CAMPAIGN, 0, [offer(rows[1])])
    with pytest.raises(ConcurrentChange):
        store.move(CAMPAIGN, 0, [to_wave(row, 2, 0) for row in rows])
    assert (counts(store), counts(store, 2)) == ({S.PLANNED: 2, S.OFFERED: 1}, {})


def test_counters_follow_writes_before_and_after_a_move(store: RolloutStore) -> None:
    """Whatever a store remembers of counters, a move through it leaves it right."""
    batch = plan(store, fleet(4))
    rows = store.read_batch(CAMPAIGN, batch)
    store.write(CAMPAIGN, 0, [offer(rows[0])])
    store.move(CAMPAIGN, 0, [to_wave(row, 2, 0) for row in rows[2:]])
    [third, fourth] = store.read_devices(CAMPAIGN, 0, [row.value.device for row in rows[2:]]).values()
    store.write(CAMPAIGN, 0, [offer(third), offer(fourth)])
    store.write(CAMPAIGN, 0, [offer(rows[1])])
    assert (counts(store), counts(store, 2)) == ({S.OFFERED: 2}, {S.OFFERED: 2})


def test_every_column_survives(store: RolloutStore) -> None:
    row = make_rollout(
        state=S.FAILED,
        code="health_check",
        detail="exit status 1\nΩ \ud800",
        progress_percent=40,
        variant=3,
        hardware="gw-2",
        installed_version="1.0",
        agent_version="0.1",
        sent_at=NOON,
        due_at=NOON + timedelta(microseconds=1),
        mark=mark(3),
        state_mark=mark(2),
        past_state=S.FAILED,
        past_code="disk_full",
        other_mark=mark(1),
    )
    assert store.create_batch(CAMPAIGN, 0, [row])
    read = store.read_devices(CAMPAIGN, 0, [row.device])[row.device].value
    assert replace(read, detail="") == replace(row, detail="")
    assert read.detail.startswith("exit status 1\nΩ ")


def test_a_row_keeps_its_package_whatever_becomes_of_it(store: RolloutStore) -> None:
    devices = fleet(2)
    rows = [make_rollout(device, S.PLANNED, variant=number) for number, device in enumerate(devices)]
    assert store.create_batch(CAMPAIGN, 0, rows)
    batch = batch_of(devices)
    store.write(CAMPAIGN, 0, [offer(row) for row in store.read_batch(CAMPAIGN, batch)])
    moved = [RolloutChange(before=row, after=replace(row.value, wave=2)) for row in store.read_batch(CAMPAIGN, batch)]
    store.move(CAMPAIGN, 0, moved)
    read = store.read_batch(CAMPAIGN, replace(batch, wave=2))
    assert [row.value.variant for row in read] == [0, 1]


def test_device_ids_with_every_allowed_character_are_found_again(store: RolloutStore) -> None:
    devices = sorted(ODD_DEVICES, key=lambda device: ring_order(device, 0))
    batch = plan(store, devices)
    assert set(store.read_devices(CAMPAIGN, 0, devices)) == set(devices)
    assert [row.value.device for row in store.read_batch(CAMPAIGN, batch)] == devices
    assert set(store.read_devices(CAMPAIGN, 0, devices[:1])) == set(devices[:1])


def test_a_write_moves_rows_and_counters_and_hands_back_rows_to_write_again(store: RolloutStore) -> None:
    batch = plan(store, fleet(5))
    written = store.write(CAMPAIGN, 0, [offer(row) for row in store.read_batch(CAMPAIGN, batch)])
    assert counts(store) == {S.OFFERED: 5}
    stamped = [RolloutChange(before=row, after=replace(row.value, sent_at=NOON)) for row in written]
    store.write(CAMPAIGN, 0, stamped)
    assert {row.value.sent_at for row in store.read_batch(CAMPAIGN, batch)} == {NOON}
    assert counts(store) == {S.OFFERED: 5}


def test_a_row_that_changed_since_it_was_read_fails_the_whole_write(store: RolloutStore) -> None:
    batch = plan(store, fleet(3))
    before = store.read_batch(CAMPAIGN, batch)
    store.write(CAMPAIGN, 0, [offer(before[2])])
    with pytest.raises(ConcurrentChange):
        store.write(CAMPAIGN, 0, [offer(row) for row in before])
    assert [row.value.state for row in store.read_batch(CAMPAIGN, batch)] == [S.PLANNED, S.PLANNED, S.OFFERED]
    assert counts(store) == {S.PLANNED: 2, S.OFFERED: 1}


def test_writers_of_different_rows_never_lose_a_count(store: RolloutStore) -> None:
    batch = plan(store, fleet(40))
    rows = store.read_batch(CAMPAIGN, batch)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: store.write(CAMPAIGN, 0, [offer(row)]), rows))
    assert counts(store) == {S.OFFERED: 40}
    after = [row.value for row in store.read_batch(CAMPAIGN, batch)]
    assert counters_of(after).of(S.OFFERED) == 40


def test_devices_without_a_row_are_left_out(store: RolloutStore) -> None:
    plan(store, fleet(3))
    assert set(store.read_devices(CAMPAIGN, 0, [DeviceId("gw-0"), DeviceId("stranger")])) == {DeviceId("gw-0")}


def test_counters_add_up_over_shards(store: RolloutStore) -> None:
    store.create_batch(CAMPAIGN, 0, [make_rollout("gw-0", S.PLANNED)])
    store.create_batch(CAMPAIGN, 1, [make_rollout("gw-1", S.SKIPPED)])
    assert store.read_counters(CAMPAIGN, 1, 2).of(S.PLANNED, S.SKIPPED) == 2
    assert store.read_counters(CAMPAIGN, 9, 2).total == 0


def test_stale_rows_are_open_offered_and_old_from_a_place_on_the_ring(store: RolloutStore) -> None:
    devices = fleet(6)
    due = NOON + timedelta(days=1)
    old = [make_rollout(device, S.INSTALLING, due_at=due) for device in devices[:4]]
    fresh = make_rollout(devices[4], S.INSTALLING, due_at=due, changed_at=NOON + timedelta(hours=2))
    store.create_batch(CAMPAIGN, 0, [*old, fresh, make_rollout(devices[5], S.FAILED)])
    found = store.read_stale(CAMPAIGN, 0, before=NOON + timedelta(hours=1), start=ring_position(devices[2]), limit=3)
    assert [row.value.device for row in found] == [devices[2], devices[3], devices[0]]


def test_open_offers_are_counted_over_all_waves_of_a_shard(store: RolloutStore) -> None:
    states = list(S)
    rows = [make_rollout(DeviceId(f"gw-{number}"), state) for number, state in enumerate(states)]
    store.create_batch(CAMPAIGN, 0, rows)
    store.create_batch(CAMPAIGN, 0, [make_rollout(DeviceId("other"), S.OFFERED, wave=12)])
    store.create_batch(CAMPAIGN, 1, [make_rollout(DeviceId("elsewhere"), S.INSTALLING)])
    is_open = [S.OFFERED, S.DOWNLOADING, S.DOWNLOADED, S.INSTALLING, S.RESTARTING]
    assert [store.count_open(CAMPAIGN, shard) for shard in range(3)] == [len(is_open) + 1, 1, 0]


def test_cohorts_move_with_the_rows_in_the_same_transaction(store: RolloutStore) -> None:
    """I3: also where the state stays and only what the device says it ran before is put right."""
    batch = plan(store, fleet(4))
    rows = store.read_batch(CAMPAIGN, batch)
    ends = [(S.FAILED, "disk"), (S.FAILED, "disk"), (S.SUCCEEDED, ""), (S.PLANNED, "")]
    told = [
        replace(row.value, state=state, code=code, hardware="mk2")
        for row, (state, code) in zip(rows, ends, strict=True)
    ]
    rows = store.write(
        CAMPAIGN, 0, [RolloutChange(before=row, after=after) for row, after in zip(rows, told, strict=True)]
    )
    unnamed = Cohort(hardware="mk2", version="")
    found = store.read_tally(CAMPAIGN, 1, 1).cohorts
    assert (found.ended(unnamed), found.of(unnamed, End(state=S.FAILED, code="disk"))) == (3, 2)

    store.write(CAMPAIGN, 0, [RolloutChange(before=rows[0], after=replace(rows[0].value, former_version="1.0"))])
    found = store.read_tally(CAMPAIGN, 1, 1).cohorts
    assert (found.ended(unnamed), found.ended(Cohort(hardware="mk2", version="1.0"))) == (2, 1)
    assert counts(store) == {S.FAILED: 2, S.SUCCEEDED: 1, S.PLANNED: 1}


def test_nothing_has_ended_in_a_wave_that_nobody_wrote(store: RolloutStore) -> None:
    assert store.read_tally(CAMPAIGN, 1, 2).cohorts == CohortCounts()
