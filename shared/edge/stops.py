"""HTTP: the emergency stop of the whole fleet."""

from __future__ import annotations

import azure.functions as func

from shared.domain.roles import Operation
from shared.edge.answers import json_response
from shared.edge.callers import admit
from shared.wire.http_stops import read_stop_request
from shared.wiring import Service


def post(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop that stands now."""
    caller = admit(request, service, Operation.OPERATE)
    wanted = read_stop_request(request.get_body())
    return json_response(service.stop_fleet(wanted.reason, who=caller.label).model_dump_json())


def release(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop, which stands no more."""
    caller = admit(request, service, Operation.OPERATE)
    return json_response(service.release_fleet(who=caller.label).model_dump_json())


def show(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop, standing or not."""
    admit(request, service, Operation.READ)
    return json_response(service.show_stop().model_dump_json())
