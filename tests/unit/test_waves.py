"""Waves partition the targets, and device batches partition the waves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import DomainError
from shared.domain.ids import CampaignId, DeviceId, ring_order, ring_start, shard_of
from shared.domain.waves import (
    MAX_BATCH_DEVICES,
    DeviceCount,
    Matching,
    Percent,
    Rest,
    WaveSize,
    WaveSpec,
    assign_waves,
    cut_batches,
    slice_waves,
)

sizes = st.integers(1, 400).map(lambda devices: DeviceCount(devices=devices)) | st.floats(0.01, 100).map(
    lambda percent: Percent(percent=percent)
)


def specs(*wave_sizes: WaveSize) -> list[WaveSpec]:
    return [WaveSpec(name=f"wave {number}", size=size) for number, size in enumerate(wave_sizes, start=1)]


@given(st.integers(0, 3_000), st.lists(sizes, max_size=8))
def test_waves_leave_no_device_out_and_share_none(total: int, wave_sizes: list[WaveSize]) -> None:
    """I3: a target device is in exactly one wave."""
    waves = slice_waves(total, specs(*wave_sizes, Rest()))
    assert [index for wave in waves for index in range(wave.start, wave.stop)] == list(range(total))
    assert [wave.number for wave in waves] == list(range(1, len(waves) + 1))


def test_a_share_of_few_devices_is_at_least_one() -> None:
    assert [wave.devices for wave in slice_waves(15, specs(Percent(percent=1), Rest()))] == [1, 14]


@pytest.mark.parametrize(
    ("total", "percent", "devices"), [(375, 8.8, 33), (250, 64.4, 161), (375, 8.9, 34), (3, 1e-4, 1)]
)
def test_a_share_is_rounded_up_as_it_is_written_and_not_as_binary_fractions_have_it(
    total: int, percent: float, devices: int
) -> None:
    assert slice_waves(total, specs(Percent(percent=percent), Rest()))[0].devices == devices


def test_waves_that_leave_devices_over_are_refused() -> None:
    with pytest.raises(DomainError, match="the waves hold 6 of 10 targets"):
        slice_waves(10, specs(DeviceCount(devices=1), Percent(percent=50)))


@given(st.data(), st.integers(0, 300), st.lists(st.one_of(sizes, st.just(Matching(condition="any"))), max_size=8))
def test_waves_with_conditions_partition_the_targets(
    data: st.DataObject, total: int, wave_sizes: list[WaveSize]
) -> None:
    """I3: whatever devices meet whatever conditions, also devices that are no targets."""
    devices = [DeviceId(f"d{number}") for number in range(total)]
    place = data.draw(st.integers(0, len(wave_sizes)))
    spec = specs(*wave_sizes[:place], Rest(), *(size for size in wave_sizes[place:] if isinstance(size, Matching)))
    conditions = [number for number, wave in enumerate(spec, start=1) if isinstance(wave.size, Matching)]
    some = st.sets(st.integers(0, total + 5).map(lambda number: DeviceId(f"d{number}")), max_size=60)
    matching = {number: data.draw(some) for number in conditions}
    try:
        manifest, waves = assign_waves(devices, spec, matching)
    except DomainError as error:
        assert error.code == "wave_without_devices"
        return
    assert sorted(manifest) == sorted(devices)
    assert [index for wave in waves for index in range(wave.start, wave.stop)] == list(range(total))
    order = {device: index for index, device in enumerate(devices)}
    for wave in waves:
        members = manifest[wave.start : wave.stop]
        assert [order[device] for device in members] == sorted(order[device] for device in members)
        meets = [{number for number in conditions if device in matching[number]} for device in members]
        if isinstance(wave.spec.size, Matching):
            assert all(min(numbers) == wave.number for numbers in meets if numbers) and all(meets)
        else:
            assert not any(meets)


def test_shares_are_of_what_no_condition_takes() -> None:
    devices = [DeviceId(f"d{number}") for number in range(20)]
    matching = {1: set(devices[5:15])}
    spec = specs(Matching(condition="any"), Percent(percent=20), Rest())
    manifest, waves = assign_waves(devices, spec, matching)
    assert [wave.devices for wave in waves] == [10, 2, 8]
    assert manifest == [*devices[5:15], *devices[:5], *devices[15:]]


def test_a_condition_that_no_target_meets_is_refused_because_an_empty_canary_would_pass() -> None:
    spec = specs(Matching(condition="tags.ring = 'canray'"), Rest())
    with pytest.raises(DomainError, match=r"no target is left for wave 1 \(wave 1\) that meets tags\.ring = 'canray'"):
        assign_waves([DeviceId("a")], spec, {1: {DeviceId("elsewhere")}})


@given(st.sets(st.integers(), max_size=500), st.integers(1, 4))
def test_batches_leave_no_device_out_share_none_and_stay_in_their_shard(numbers: set[int], shards: int) -> None:
    """I3: and each batch fits one table transaction beside its counters row."""
    start = ring_start(CampaignId("spring"))
    devices = sorted((DeviceId(f"d{number}") for number in numbers), key=lambda device: ring_order(device, start))
    cut = list(cut_batches(1, devices, shards))
    assert sorted(device for _, members in cut for device in members) == sorted(devices)
    for batch, members in cut:
        assert 1 <= batch.count == len(members) <= MAX_BATCH_DEVICES
        assert (batch.first, batch.last) == (members[0], members[-1])
        assert {shard_of(device, shards) for device in members} == {batch.shard}
        assert members == sorted(members, key=lambda device: ring_order(device, start))
    assert len({(batch.shard, batch.number) for batch, _ in cut}) == len(cut)
