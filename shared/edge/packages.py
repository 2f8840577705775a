"""HTTP: packages."""

from __future__ import annotations

import azure.functions as func

from shared.domain.roles import Operation
from shared.edge.answers import json_response
from shared.edge.callers import admit
from shared.edge.campaigns import page_size
from shared.wire.http_packages import read_withdraw_request
from shared.wiring import Service


def show_page(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with one page; query parameters ``size`` (1-200) and ``continuation``."""
    admit(request, service, Operation.READ)
    page = service.list_packages(size=page_size(request), continuation=request.params.get("continuation", ""))
    return json_response(page.model_dump_json())


def show(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the package."""
    admit(request, service, Operation.READ)
    return json_response(service.show_package(*_identity(request)).model_dump_json())


def withdraw(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """202 with the package, which leaves the index within seconds."""
    caller = admit(request, service, Operation.OPERATE)
    wanted = read_withdraw_request(request.get_body())
    view = service.withdraw_package(*_identity(request), reason=wanted.reason, who=caller.label)
    return json_response(view.model_dump_json(), 202)


def _identity(request: func.HttpRequest) -> tuple[str, str]:
    return request.route_params["name"], request.route_params["version"]
