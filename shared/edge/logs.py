"""HTTP: logs of failed rollouts."""

from __future__ import annotations

import azure.functions as func

from shared.domain.errors import DomainError, NotFound
from shared.domain.ids import device_id
from shared.domain.roles import Operation
from shared.edge.callers import admit
from shared.edge.campaigns import campaign_of
from shared.edge.repository import TICKET_HEADER
from shared.wiring import Service

# What a device sent may be a page with a script in it: a browser must save it, not show it.
_AS_A_FILE = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def take(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """204 once the log is kept; 413 for one of more than a mebibyte, told by its header before it is looked at."""
    length = request.headers.get("Content-Length", "0")
    service.logs.check_size(int(length) if length.isdecimal() else 0)
    service.take_log(request.get_body(), request.headers.get(TICKET_HEADER, ""))
    return func.HttpResponse(status_code=204)


def show(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with the log as the device sent it."""
    admit(request, service, Operation.READ)
    text = request.route_params["device"]
    try:
        device = device_id(text)
    except DomainError as error:
        raise NotFound(f"there is no device {text[:140]!r}", code="device_not_found") from error
    found = service.logs.show(campaign_of(request), device)
    headers = _AS_A_FILE | {"Groundswell-Attempt": str(found.attempt)}
    return func.HttpResponse(found.content, mimetype="text/plain", charset="utf-8", headers=headers)
