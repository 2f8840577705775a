"""Campaigns."""

from __future__ import annotations

from collections.abc import Mapping

from shared.domain.steps_by_operators import OperatorAction
from shared.edge.api.parts import BAD_PAGE, BAD_REQUEST, IDEMPOTENCY_KEY, NO_CAMPAIGN, PAGE
from shared.wire.http_actions import ActionRequest
from shared.wire.http_campaign_views import CampaignPage, CampaignView
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_dry_runs import DryRunView, OperationView
from shared.wire.http_membership import MembershipRequest
from shared.wire.http_wave_edits import WavesRequest
from shared.wire.openapi import RETRY_AFTER, Answer, Parameter, Route

_ACTION = Parameter(
    name="action",
    place="path",
    meaning="What to do to it",
    schema={"type": "string", "enum": [action.value for action in OperatorAction]},
)

_DRY_RUN = Parameter(
    name="dry_run",
    place="query",
    meaning=(
        "`true` answers what the campaign would do and does nothing; `compare` only compares the request with the "
        "campaign that was made under the same key"
    ),
    schema={"type": "string", "enum": ["false", "true", "compare"], "default": "false"},
)

CAMPAIGNS: Mapping[str, Route] = {
    "post_campaign": Route(
        method="POST",
        path="campaigns",
        summary="Start a campaign",
        parameters=(IDEMPOTENCY_KEY, _DRY_RUN),
        body=CampaignRequest,
        answers={
            200: Answer(
                meaning="A dry run: what the campaign would do, or the campaign that is there already", body=DryRunView
            ),
            202: Answer(
                meaning="A dry run whose targets must be listed first",
                body=OperationView,
                headers={"Location": "Its URL", **RETRY_AFTER},
            ),
            201: Answer(
                meaning="The new campaign, or the one that the same request under the same key made before",
                body=CampaignView,
                headers={"Location": "Its URL"},
            ),
        },
        refusals={
            **BAD_REQUEST,
            404: "There is no such package, group or list",
            409: "The key was used for another request, or the package cannot be offered now",
        },
    ),
    "get_campaigns": Route(
        method="GET",
        path="campaigns",
        summary="List campaigns",
        parameters=PAGE,
        answers={200: Answer(meaning="One page", body=CampaignPage)},
        refusals=BAD_PAGE,
    ),
    "get_campaign": Route(
        method="GET",
        path="campaigns/{id}",
        summary="Show a campaign with its waves and counters",
        answers={200: Answer(meaning="The campaign", body=CampaignView)},
        refusals=NO_CAMPAIGN,
    ),
    "patch_campaign_waves": Route(
        method="PATCH",
        path="campaigns/{id}/waves",
        summary="Edit the waves of a paused campaign that have not begun",
        description=(
            "The body names all of them as they shall be. Asking for what they are already changes nothing. New "
            "filters are listed first: until then `plan.phase` is `filtering`, and the waves are what they were."
        ),
        body=WavesRequest,
        answers={200: Answer(meaning="The campaign; its rows follow within seconds", body=CampaignView)},
        refusals={
            **BAD_REQUEST,
            **NO_CAMPAIGN,
            409: "It is not paused, still being planned, not what was signed, or all its waves have begun",
        },
    ),
    "put_campaign_membership": Route(
        method="PUT",
        path="campaigns/{id}/membership",
        summary="Let nobody join a dynamic campaign any more, so that it can complete",
        description="A campaign that nobody can join stays as it is.",
        body=MembershipRequest,
        answers={200: Answer(meaning="The campaign", body=CampaignView)},
        refusals={**BAD_REQUEST, **NO_CAMPAIGN, 409: "It has ended while devices could still join"},
    ),
    "post_campaign_action": Route(
        method="POST",
        path="campaigns/{id}/{action}",
        summary="Do something to a campaign",
        description="Each action may be repeated: where it holds already, nothing changes.",
        parameters=(_ACTION,),
        body=ActionRequest,
        body_optional=True,
        answers={200: Answer(meaning="The campaign afterwards", body=CampaignView)},
        refusals={
            **BAD_REQUEST,
            403: "Who asks has no role that allows it; only other people than its requester can approve a campaign",
            404: "There is no such campaign, or no such action",
            409: "The action does not fit the campaign's state, and `detail` names those that do; or its plan changed",
        },
    ),
    "get_operation": Route(
        method="GET",
        path="operations/{id}",
        summary="Show a dry run that goes on by itself",
        answers={200: Answer(meaning="The operation, with what it knows so far", body=OperationView)},
        refusals={404: "There is no such operation, or it was forgotten days after its last step"},
    ),
}
