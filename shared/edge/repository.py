"""HTTP: the index, and downloads by ticket."""

from __future__ import annotations

import azure.functions as func

from shared.edge.answers import problem
from shared.handlers.exchange_ticket import Gone, NotNow, Redirect
from shared.wiring import Service

TICKET_HEADER = "Groundswell-Ticket"


def show_metadata(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """200 with a metadata file, or 304 to a caller that has it."""
    plain = service.serve_repository(request.route_params["name"])
    file = plain.encoded_for(request.headers.get("Accept-Encoding", ""))
    headers = {"ETag": file.etag, "Cache-Control": file.cache_control, "Vary": "Accept-Encoding"}
    if file.encoding:
        headers["Content-Encoding"] = file.encoding
    if file.is_known(request.headers.get("If-None-Match", "")):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(file.content, mimetype="application/json", headers=headers)


def show_download(request: func.HttpRequest, service: Service) -> func.HttpResponse:
    """307 to a short-lived URL; 410 when the offer no longer stands; 503 while the campaign rests."""
    exchange = service.exchange_ticket(request.route_params["path"], request.headers.get(TICKET_HEADER, ""))
    match exchange:
        case Redirect(url=url):
            # The URL opens the package for minutes: no cache may keep it.
            return func.HttpResponse(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})
        case Gone(code=code, detail=detail):
            return problem(410, code, detail)
        case NotNow(code=code, detail=detail, retry_after_s=retry_after_s):
            return problem(503, code, detail, retry_after_s=retry_after_s)
