"""Saved groups."""

from __future__ import annotations

from collections.abc import Mapping

from shared.edge.api.parts import BAD_PAGE, BAD_REQUEST, PAGE
from shared.wire.http_groups import GroupPage, GroupRequest, GroupView
from shared.wire.openapi import Answer, Route

_NO_GROUP = {404: "There is no such group"}

GROUPS: Mapping[str, Route] = {
    "get_groups": Route(
        method="GET",
        path="groups",
        summary="List saved groups",
        parameters=PAGE,
        answers={200: Answer(meaning="One page, in the order of names", body=GroupPage)},
        refusals=BAD_PAGE,
    ),
    "put_group": Route(
        method="PUT",
        path="groups/{name}",
        summary="Save a group: a name for a query or a list of devices",
        description="Campaigns that were posted keep what the group meant then.",
        body=GroupRequest,
        answers={200: Answer(meaning="The group as it stands now", body=GroupView)},
        refusals=BAD_REQUEST,
    ),
    "get_group": Route(
        method="GET",
        path="groups/{name}",
        summary="Show a group",
        answers={200: Answer(meaning="The group", body=GroupView)},
        refusals=_NO_GROUP,
    ),
    "delete_group": Route(
        method="DELETE",
        path="groups/{name}",
        summary="Delete a group; campaigns keep what it meant when they were posted",
        answers={204: Answer(meaning="There is none of that name any more")},
        refusals=_NO_GROUP,
    ),
}
