"""HTTP: the emergency stop of the whole fleet."""

from __future__ import annotations

import azure.functions as func

from shared.edge.answers import json_response
from shared.edge.campaigns import KEY_HOLDER
from shared.wire.http_stops import read_stop_request
from shared.wiring import Service


def post(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop that stands now."""
    wanted = read_stop_request(request.get_body())
    return json_response(service.stop_fleet(wanted.reason, who=KEY_HOLDER).model_dump_json())


def release(_request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop, which stands no more."""
    return json_response(service.release_fleet(who=KEY_HOLDER).model_dump_json())


def show(_request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the stop, standing or not."""
    return json_response(service.show_stop().model_dump_json())
