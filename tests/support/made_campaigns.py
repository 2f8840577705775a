"""Campaigns and packages made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import time

from shared.domain.campaign_specs import CampaignSpec, Deadlines, DeviceList
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import DeviceId, package_name
from shared.domain.packages import Package, PackageKind
from shared.domain.rollouts import PackageTarget
from shared.domain.versions import Version
from shared.domain.waves import Rest, WaveSpec, WaveState, slice_waves
from shared.domain.windows import Window
from tests.support.rollouts import CAMPAIGN, NOON, TARGET

DEADLINES = Deadlines(offered_s=600, downloading_s=300, installing_s=120, restarting_s=60)


def make_package(target: PackageTarget = TARGET) -> Package:
    """A firmware package of the target's name and version."""
    return Package(
        name=package_name(target.name),
        version=Version(target.version),
        kind=PackageKind.FIRMWARE,
        length_bytes=4096,
        sha256="5" * 64,
        created=NOON,
        compatibility={},
    )


def make_campaign(devices: Sequence[DeviceId], *, shards: int = 1, waves: Sequence[WaveSpec] = ()) -> Campaign:
    """A running campaign over the devices, in one wave unless told otherwise."""
    specs = tuple(waves) or (WaveSpec(name="all", size=Rest()),)
    spec = CampaignSpec(
        name="Spring fix",
        package=TARGET,
        targets=DeviceList(count=len(devices), sha256="0" * 64),
        waves=specs,
        deadlines=DEADLINES,
        windows=(Window(days=(5,), start=time(22), end=time(4), zone="Europe/Berlin"),),
    )
    return Campaign(
        id=CAMPAIGN,
        spec=spec,
        package=make_package(),
        shards=shards,
        state=CampaignState.RUNNING,
        step_due_at=NOON,
        targets=len(devices),
        waves=tuple(replace(wave, state=WaveState.RUNNING) for wave in slice_waves(len(devices), specs)),
        requested_by="ada",
        created_at=NOON,
        changed_at=NOON,
    )


def make_variant(name: str, *hardware: str, length_bytes: int = 4096) -> Package:
    """A package of version 2.0.0 for the hardware; without any it is for every device."""
    package = make_package(PackageTarget(name=name, version="2.0.0"))
    compatibility = {"hardware": hardware} if hardware else {}
    return replace(package, compatibility=compatibility, length_bytes=length_bytes)


def with_packages(campaign: Campaign, packages: Sequence[Package]) -> Campaign:
    """The campaign over these packages instead of its one."""
    first, *others = (PackageTarget(name=package.name, version=package.version.text) for package in packages)
    spec = replace(campaign.spec, package=first, other_packages=tuple(others))
    return replace(campaign, spec=spec, package=packages[0], other_packages=tuple(packages[1:]))
