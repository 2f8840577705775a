"""What a campaign's saved groups and lists of devices mean at the moment it is posted.

They are copied into the campaign then, and the campaign's signature covers the copy: whoever changes a group or a blob
afterwards changes no campaign.
"""

from __future__ import annotations

from shared.domain.errors import NotFound
from shared.domain.groups import Group, GroupName
from shared.domain.ids import DeviceId
from shared.handlers.keep_groups import get_group
from shared.ports.errors import NotThere
from shared.ports.targets import GroupStore, TargetLists
from shared.wire.http_campaigns import CampaignRequest, check_waves
from shared.wire.http_exclusions import ExcludeRequest
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_targets import TargetsRequest
from shared.wire.target_lists import read_target_list


def find_targets(request: CampaignRequest, groups: GroupStore, lists: TargetLists) -> CampaignRequest:
    """The request with the devices or the query that its groups and lists stand for.

    Raises:
        NotFound: There is no such group or no such list (codes ``group_not_found``, ``list_not_found``).
        InvalidRequest: A list names something that is no device, nobody is left, or the waves do not fit who is.
        PortError: It cannot be read now, or somebody writes it at this moment.
    """
    targets = _without_group(request.targets, groups)
    if targets.list_name is not None:
        devices = _read_list(targets.list_name, lists, field="targets.list")
        targets = targets.model_copy(update={"devices": devices})
    if targets.exclude is not None:
        targets = targets.model_copy(update={"exclude": _find_exclusion(targets.exclude, groups, lists)})
    _check_somebody_left(targets)
    wanted = request.model_copy(update={"targets": targets})
    check_waves(wanted)
    return wanted


def _without_group(targets: TargetsRequest, groups: GroupStore) -> TargetsRequest:
    if (group := _find_group(targets.group, groups)) is None:
        return targets
    if targets.membership == "dynamic" and not group.query:
        raise InvalidRequest(f"targets.membership: the group {group.name} is a list; only a query finds newcomers")
    return targets.model_copy(update={"query": group.query or None, "list_name": group.list_name or None})


def _find_exclusion(exclude: ExcludeRequest, groups: GroupStore, lists: TargetLists) -> ExcludeRequest:
    group = _find_group(exclude.group, groups)
    names = {"list": exclude.list_name or "", "group": group.list_name if group else ""}
    found: list[DeviceId] = []
    for field, name in names.items():
        if name:
            found += _read_list(name, lists, field=f"targets.exclude.{field}")
    kept = dict.fromkeys(name for name in names.values() if name)
    return exclude.found(found, lists=list(kept), group_query=group.query if group else "")


def _find_group(name: str | None, groups: GroupStore) -> Group | None:
    return None if name is None else get_group(GroupName(name), groups)


def _read_list(name: str, lists: TargetLists, *, field: str) -> list[DeviceId]:
    try:
        return read_target_list(name, lists.stream(name), field=field)
    except NotThere as error:
        raise NotFound(
            f"there is no list {name}; write it into the container target-lists first", code="list_not_found"
        ) from error


def _check_somebody_left(targets: TargetsRequest) -> None:
    if targets.exclude is None or targets.devices is None or targets.exclude.has_query:
        return
    if set(targets.devices) <= set(targets.excluded_devices):
        raise InvalidRequest("targets.exclude: it leaves no device over")
