"""What a campaign's saved group and list of devices mean at the moment it is posted.

They are copied into the campaign then, and the campaign's signature covers the copy: whoever changes the group or the
blob afterwards changes no campaign.
"""

from __future__ import annotations

from shared.domain.errors import NotFound
from shared.domain.groups import GroupName
from shared.handlers.keep_groups import get_group
from shared.ports.errors import NotThere
from shared.ports.targets import GroupStore, TargetLists
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_targets import TargetsRequest
from shared.wire.target_lists import read_target_list


def find_targets(request: CampaignRequest, groups: GroupStore, lists: TargetLists) -> CampaignRequest:
    """The request with the devices or the query that its group or list stands for.

    Raises:
        NotFound: There is no such group or no such list (codes ``group_not_found``, ``list_not_found``).
        InvalidRequest: The list names something that is no device.
        PortError: It cannot be read now, or somebody writes it at this moment.
    """
    targets = _without_group(request.targets, groups)
    if targets.list_name is None:
        return request.model_copy(update={"targets": targets})
    devices = _read_list(targets.list_name, lists)
    return request.model_copy(update={"targets": targets.model_copy(update={"devices": devices})})


def _without_group(targets: TargetsRequest, groups: GroupStore) -> TargetsRequest:
    if targets.group is None:
        return targets
    group = get_group(GroupName(targets.group), groups)
    if targets.membership == "dynamic" and not group.query:
        raise InvalidRequest(f"targets.membership: the group {group.name} is a list; only a query finds newcomers")
    return targets.model_copy(update={"query": group.query or None, "list_name": group.list_name or None})


def _read_list(name: str, lists: TargetLists) -> list[str]:
    try:
        return list(read_target_list(name, lists.stream(name)))
    except NotThere as error:
        raise NotFound(
            f"there is no list {name}; write it into the container target-lists first", code="list_not_found"
        ) from error
