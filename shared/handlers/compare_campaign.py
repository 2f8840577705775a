"""How a campaign is not what a request under its key asks for."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.campaign_specs import CampaignSpec
from shared.domain.campaigns import Campaign
from shared.domain.errors import DomainError
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.find_targets import find_targets
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.spec_differences import Difference, find_differences


def is_same_request(campaign: Campaign, request: CampaignRequest) -> bool:
    """Whether the campaign was made by this very request."""
    return campaign.request_sha256 == request.sha256


def compare_campaign(campaign: Campaign, request: CampaignRequest, ports: CampaignPorts) -> list[Difference]:
    """The fields that are not the same; of the very request that made it, those that people changed since.

    Raises:
        NotFound: There is no such group or list any more.
        InvalidRequest: A list names something that is no device.
        PortError: It cannot be read now.
    """
    if is_same_request(campaign, request):
        return _compare_but_targets(campaign, request)
    wanted = find_targets(request, ports.groups, ports.lists).to_spec()
    return find_differences(campaign.spec, wanted, request)


def name_differences(campaign: Campaign, request: CampaignRequest, ports: CampaignPorts) -> list[str]:
    """The fields alone, as far as they can be told although a group or a list may be gone."""
    try:
        differences = compare_campaign(campaign, request, ports)
    except DomainError:
        differences = _compare_but_targets(campaign, request)
    return [each.field for each in differences]


def _compare_but_targets(campaign: Campaign, request: CampaignRequest) -> list[Difference]:
    """The targets stand, whatever became of a group or a list since."""
    return find_differences(campaign.spec, _with_targets_of(campaign.spec, request.to_spec()), request)


def _with_targets_of(known: CampaignSpec, wanted: CampaignSpec) -> CampaignSpec:
    return replace(wanted, targets=known.targets, targeting=known.targeting)
