"""HTTP: saved groups."""

from __future__ import annotations

import azure.functions as func

from shared.domain.errors import DomainError, NotFound
from shared.domain.groups import GroupName, group_name
from shared.domain.roles import Operation
from shared.edge.answers import json_response, read_body
from shared.edge.callers import admit
from shared.edge.campaigns import page_size
from shared.wire.http_groups import read_group_request
from shared.wiring import Service


def put(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the group as it stands now."""
    caller = admit(request, service, Operation.OPERATE)
    name = group_name(request.route_params["name"])
    wanted = read_group_request(read_body(request))
    return json_response(service.put_group(name, wanted, who=caller.label).model_dump_json())


def show(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the group."""
    admit(request, service, Operation.READ)
    return json_response(service.show_group(_group(request)).model_dump_json())


def delete(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """204 once it is deleted."""
    caller = admit(request, service, Operation.OPERATE)
    service.delete_group(_group(request), who=caller.label)
    return func.HttpResponse(status_code=204)


def show_page(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with one page; query parameters ``size`` (1-200) and ``continuation``."""
    admit(request, service, Operation.READ)
    page = service.list_groups(size=page_size(request), continuation=request.params.get("continuation", ""))
    return json_response(page.model_dump_json())


def _group(request: func.HttpRequest) -> GroupName:
    text = request.route_params["name"]
    try:
        return group_name(text)
    except DomainError as error:
        raise NotFound(f"there is no group {text[:60]!r}", code="group_not_found") from error
