"""A campaign's packages: one, or several for devices of several kinds of hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from shared.domain.campaigns import Campaign
from shared.domain.rollouts import PackageTarget
from shared.domain.variants import MAX_PACKAGES, accepted_hardware
from shared.wire.http_targets import PackageRequest

type PackagesField = Annotated[list[PackageRequest], Field(min_length=2, max_length=MAX_PACKAGES)]


class CampaignPackageView(BaseModel):
    """One of a campaign's packages."""

    name: str
    version: str
    hardware: list[str] = Field(description="The hardware it is for; empty for any, or where it does not say")
    devices: int | None = Field(description="Of several packages: the devices it was chosen for; null for the only one")


def to_package_targets(
    package: PackageRequest | None, packages: Sequence[PackageRequest] | None
) -> list[PackageTarget]:
    """The one package, or all of several."""
    asked = [package] if package is not None else packages or ()
    return [PackageTarget(name=each.name, version=each.version) for each in asked]


def view_packages(campaign: Campaign) -> list[CampaignPackageView]:
    """The campaign's packages in the order in which they were asked for."""
    several, counts = bool(campaign.other_packages), campaign.planning.by_variant
    return [
        CampaignPackageView(
            name=package.name,
            version=package.version.text,
            hardware=list(accepted_hardware(package)),
            devices=(counts[number] if number < len(counts) else 0) if several else None,
        )
        for number, package in enumerate(campaign.packages)
    ]
