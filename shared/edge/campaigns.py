"""HTTP: campaigns."""

from __future__ import annotations

import azure.functions as func

from shared.domain.errors import DomainError, NotFound
from shared.domain.ids import CampaignId, campaign_id
from shared.domain.roles import Operation
from shared.domain.steps_by_operators import OperatorAction
from shared.edge.answers import json_response, read_body
from shared.edge.callers import admit
from shared.wire.http_actions import read_action_request
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.http_membership import read_membership_request
from shared.wire.http_wave_edits import read_waves_request
from shared.wiring import Service

MAX_PAGE = 200


def post(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """201 with the new campaign, or the campaign that the same request with the same key made before."""
    caller = admit(request, service, Operation.OPERATE)
    wanted = read_campaign_request(read_body(request))
    view = service.create_campaign(wanted, idempotency_key=idempotency_key(request), requested_by=caller.label)
    return json_response(view.model_dump_json(), 201, {"Location": f"{request.url.rstrip('/')}/{view.id}"})


def show_page(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with one page; query parameters ``size`` (1-200) and ``continuation``."""
    admit(request, service, Operation.READ)
    page = service.list_campaigns(size=page_size(request), continuation=request.params.get("continuation", ""))
    return json_response(page.model_dump_json())


def show(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the campaign, its waves and counters."""
    admit(request, service, Operation.READ)
    return json_response(service.show_campaign(campaign_of(request)).model_dump_json())


def show_audit(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with one page of the campaign's audit log; query parameters ``size`` (1-200) and ``continuation``."""
    admit(request, service, Operation.READ)
    continuation = request.params.get("continuation", "")
    page = service.show_audit(campaign_of(request), size=page_size(request), continuation=continuation)
    return json_response(page.model_dump_json())


def edit_waves(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the campaign and its waves as they are to be."""
    caller = admit(request, service, Operation.OPERATE)
    wanted = read_waves_request(read_body(request))
    return json_response(service.edit_waves(campaign_of(request), wanted, who=caller.label).model_dump_json())


def close_membership(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the campaign, which nobody joins any more."""
    caller = admit(request, service, Operation.OPERATE)
    read_membership_request(read_body(request))
    return json_response(service.close_membership(campaign_of(request), who=caller.label).model_dump_json())


def act(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the campaign after the action; the body may say more about it."""
    is_approval = request.route_params["action"] == OperatorAction.APPROVE
    caller = admit(request, service, Operation.APPROVE if is_approval else Operation.OPERATE)
    said = read_action_request(request.get_body())
    view = service.act_on_campaign(campaign_of(request), _action(request), who=caller.label, said=said)
    return json_response(view.model_dump_json())


def campaign_of(request: func.HttpRequest) -> CampaignId:
    """The campaign in the route.

    Raises:
        NotFound: No campaign can have that id.
    """
    text = request.route_params["id"]
    try:
        return campaign_id(text)
    except DomainError as error:
        raise NotFound(f"there is no campaign {text[:80]!r}", code="campaign_not_found") from error


def _action(request: func.HttpRequest) -> OperatorAction:
    text = request.route_params["action"]
    try:
        return OperatorAction(text)
    except ValueError as error:
        known = ", ".join(OperatorAction)
        raise NotFound(f"there is no action {text[:80]!r}; there are {known}", code="action_not_found") from error


def idempotency_key(request: func.HttpRequest) -> str | None:
    """The header ``Idempotency-Key``, where there is one.

    Raises:
        DomainError: It has no or more than 255 characters.
    """
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= 255:
        raise DomainError("Idempotency-Key must have 1 to 255 characters", code="idempotency_key_invalid")
    return key


def page_size(request: func.HttpRequest) -> int:
    """The query parameter ``size``.

    Raises:
        DomainError: It is no number from 1 to 200.
    """
    text = request.params.get("size", "50")
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PAGE:
        raise DomainError(f"size: must be a whole number from 1 to {MAX_PAGE}", code="invalid_request")
    return int(text)
