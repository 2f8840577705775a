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
    Percent,
    Rest,
    WaveSize,
    WaveSpec,
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


def test_waves_that_leave_devices_over_are_refused() -> None:
    with pytest.raises(DomainError, match="the waves hold 6 of 10 targets"):
        slice_waves(10, specs(DeviceCount(devices=1), Percent(percent=50)))


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
