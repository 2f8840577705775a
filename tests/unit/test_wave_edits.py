"""Edited waves partition the targets as the first ones did, and those that have begun stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId
from shared.domain.listings import ring_start_of, sort_on_ring
from shared.domain.pending_edits import conditions_of
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.wave_edits import apply_recut, pending_tail, recut
from shared.domain.waves import DeviceCount, Matching, Percent, Rest, WaveSize, WaveSpec, WaveState, assign_waves
from tests.support.made_campaigns import make_campaign
from tests.support.rollouts import NOON

CONDITIONS = ("tags.a = 1", "tags.b = 1", "tags.c = 1")
sizes = st.integers(1, 40).map(lambda devices: DeviceCount(devices=devices)) | st.floats(0.01, 100).map(
    lambda percent: Percent(percent=percent)
)
devices = st.sets(st.integers(0, 70).map(lambda number: DeviceId(f"d{number}")), max_size=25)


@st.composite
def wave_lists(draw: st.DrawFn) -> tuple[WaveSpec, ...]:
    """Waves as requests may name them: filters anywhere, once each, and the rest behind the other cut ones."""
    cut: list[WaveSize] = [*draw(st.lists(sizes, max_size=4)), Rest()]
    for condition in draw(st.lists(st.sampled_from(CONDITIONS), unique=True)):
        cut.insert(draw(st.integers(0, len(cut))), Matching(condition=condition))
    return tuple(WaveSpec(name=f"w{number}", size=size) for number, size in enumerate(cut))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A paused campaign with the manifest that its waves are slices of."""

    campaign: Campaign
    manifest: list[DeviceId]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    targets = [DeviceId(f"d{number}") for number in range(draw(st.integers(1, 60)))]
    specs = draw(wave_lists())
    bare = make_campaign(targets, waves=[WaveSpec(name="all", size=Rest())])
    ordered = sort_on_ring(targets, ring_start_of(bare))
    matching = {number: draw(devices) for number, spec in enumerate(specs, start=1) if isinstance(spec.size, Matching)}
    try:
        manifest, waves = assign_waves(ordered, specs, matching)
    except DomainError:
        specs = (WaveSpec(name="one", size=DeviceCount(devices=1)), WaveSpec(name="all", size=Rest()))
        manifest, waves = assign_waves(ordered, specs, {})
    begun = draw(st.integers(0, len(waves) - 1))
    states = [WaveState.PASSED] * begun + [WaveState.PENDING] * (len(waves) - begun)
    campaign = replace(
        bare,
        state=CampaignState.PAUSED,
        spec=replace(bare.spec, waves=specs),
        waves=tuple(replace(wave, state=state) for wave, state in zip(waves, states, strict=True)),
        planning=Planning(phase=PlanningPhase.DONE),
    )
    return Plan(campaign=campaign, manifest=manifest)


def edited(plan: Plan, tail: tuple[WaveSpec, ...], found: dict[str, set[DeviceId]]) -> Plan | None:
    """The plan after the edit; None where it is refused."""
    try:
        cut = recut(plan.campaign, tail, plan.manifest, found)
    except DomainError as error:
        event(error.code)
        return None
    return Plan(campaign=apply_recut(plan.campaign, cut, who="grace", now=NOON), manifest=cut.manifest)


def check(before: Plan, after: Plan, found: dict[str, set[DeviceId]]) -> None:
    first = len(before.campaign.waves) - len(pending_tail(before.campaign))
    start = before.campaign.waves[first].start
    waves = after.campaign.waves
    assert waves[:first] == before.campaign.waves[:first]
    assert after.manifest[:start] == before.manifest[:start]
    assert sorted(after.manifest) == sorted(before.manifest)
    assert [index for wave in waves for index in range(wave.start, wave.stop)] == list(range(len(after.manifest)))
    assert [wave.number for wave in waves] == list(range(1, len(waves) + 1))
    assert tuple(wave.spec for wave in waves) == after.campaign.spec.waves
    new = [wave for wave in waves[first:] if isinstance(wave.spec.size, Matching) and wave.spec.size.condition in found]
    for wave in new:
        assert isinstance(wave.spec.size, Matching)
        assert wave.devices
        assert set(after.manifest[wave.start : wave.stop]) <= found[wave.spec.size.condition]
    for wave in waves[first:]:
        members = after.manifest[wave.start : wave.stop]
        assert members == sort_on_ring(members, ring_start_of(after.campaign))
        if not isinstance(wave.spec.size, Matching):
            assert not any(device in devices_ for device in members for devices_ in found.values())


@settings(max_examples=300)
@given(plan=plans(), data=st.data())
def test_edits_one_after_the_other_partition_the_targets(plan: Plan, data: st.DataObject) -> None:
    """I3: waves more or fewer, filters kept, dissolved or new, whoever meets them."""
    for _ in range(3):
        tail = data.draw(wave_lists())
        known = conditions_of(tuple(wave.spec for wave in pending_tail(plan.campaign)))
        found = {condition: data.draw(devices) for condition in conditions_of(tail) if condition not in known}
        if (after := edited(plan, tail, found)) is not None:
            check(plan, after, found)
            event("edited")
            plan = after


@given(plan=plans(), data=st.data())
def test_the_same_edit_of_the_same_waves_is_the_same_cut(plan: Plan, data: st.DataObject) -> None:
    """I4: a repeat after a death cuts what the first one cut."""
    tail = data.draw(wave_lists())
    found = {condition: data.draw(devices) for condition in CONDITIONS}
    assert edited(plan, tail, found) == edited(plan, tail, found)
