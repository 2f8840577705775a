"""HTTP: what a campaign would do, before it does anything."""

from __future__ import annotations

from enum import StrEnum

import azure.functions as func

from shared.domain.errors import DomainError, InvalidId, NotFound
from shared.domain.ids import OperationId, operation_id
from shared.domain.roles import Operation
from shared.edge import campaigns
from shared.edge.answers import json_response, read_body
from shared.edge.callers import admit
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.http_dry_runs import DryRunView, OperationView
from shared.wiring import Service

RETRY_AFTER_S = "2"
DRY_RUN = "dry_run"


class DryRun(StrEnum):
    """Values of the query parameter ``dry_run``."""

    OFF = "false"
    FULL = "true"
    COMPARE = "compare"


def post(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """What ``campaigns.post`` answers, unless a dry run is asked for.

    Then 200 with the campaign that the key made before, or with the plan; or 202 with the operation that makes it.
    """
    wanted = _dry_run(request)
    if wanted is DryRun.OFF:
        return campaigns.post(request, service)
    caller = admit(request, service, Operation.OPERATE)
    body = read_campaign_request(read_body(request))
    key = campaigns.idempotency_key(request)
    existing = service.find_existing_campaign(body, idempotency_key=key)
    if existing is not None or wanted is DryRun.COMPARE:
        return json_response(DryRunView(existing=existing).model_dump_json())
    answer = service.start_dry_run(body, idempotency_key=key, requested_by=caller.label)
    if isinstance(answer, OperationView):
        base = request.url.partition("?")[0].rstrip("/").removesuffix("/campaigns")
        headers = {"Location": f"{base}/operations/{answer.id}", "Retry-After": RETRY_AFTER_S}
        return json_response(answer.model_dump_json(), 202, headers)
    return json_response(DryRunView(plan=answer).model_dump_json())


def show_operation(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the operation; Retry-After while it goes on."""
    admit(request, service, Operation.READ)
    view = service.show_operation(_operation(request))
    return json_response(view.model_dump_json(), 200, {"Retry-After": RETRY_AFTER_S} if _goes_on(view) else None)


def _operation(request: func.HttpRequest) -> OperationId:
    text = request.route_params["id"]
    try:
        return operation_id(text)
    except InvalidId as error:
        raise NotFound(f"there is no operation {text[:80]!r}", code="operation_not_found") from error


def _goes_on(view: OperationView) -> bool:
    return view.state == "running"


def _dry_run(request: func.HttpRequest) -> DryRun:
    text = request.params.get(DRY_RUN, DryRun.OFF)
    try:
        return DryRun(text)
    except ValueError as error:
        raise DomainError(f"{DRY_RUN}: must be one of {', '.join(DryRun)}", code="invalid_request") from error
