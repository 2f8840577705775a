"""Answers: JSON, and problem documents for errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import azure.functions as func

from shared.domain.errors import Conflict, DomainError, Forbidden, InvalidId, NotFound, TooLarge, TrustError
from shared.ports.errors import PortError, Throttled, UnreadableRow
from shared.settings import SettingsError
from shared.trust.tokens import TokenRefused
from shared.wire.http_problems import PROBLEM, Problem

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
UNREADABLE = "unreadable_row"
_UNREADABLE_DETAIL = (
    "this instance cannot read what a newer version wrote, or somebody edited; while an upgrade lasts, ask again"
)
_STATUS: dict[type[DomainError], int] = {
    TrustError: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    InvalidId: 400,
    TooLarge: 413,
    SettingsError: 503,
}
_TITLES = {
    400: "The request cannot be used",
    401: "Not allowed",
    403: "Not for you",
    404: "Not found",
    409: "Not possible now",
    410: "No longer on offer",
    413: "Too large",
    503: "Not available now",
}


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer."""
    body = document if isinstance(document, (str, bytes)) else json.dumps(document)
    return func.HttpResponse(body, status_code=status, mimetype="application/json", headers=headers)


def problem(
    status: int, code: str, detail: str, *, retry_after_s: float | None = None, challenge: str = ""
) -> func.HttpResponse:
    """An RFC 9457 problem document; ``code`` is the stable word for programs."""
    document = Problem(title=_TITLES[status], status=status, detail=detail, code=code)
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
    if challenge:
        headers["WWW-Authenticate"] = challenge
    return func.HttpResponse(document.model_dump_json(), status_code=status, mimetype=PROBLEM, headers=headers)


def answer(respond: Callable[[], func.HttpResponse]) -> func.HttpResponse:
    """The response, or the problem document for the error it raised."""
    try:
        return respond()
    except TokenRefused as error:
        return problem(401, error.code, error.message, challenge=error.challenge)
    except DomainError as error:
        return problem(_status_of(error), error.code, error.message)
    except Throttled as error:
        return problem(503, "throttled", "too many calls", retry_after_s=error.retry_after_s or RETRY_AFTER_S)
    except UnreadableRow as error:
        log.warning("answered 503: %s", error)
        return problem(503, UNREADABLE, _UNREADABLE_DETAIL, retry_after_s=RETRY_AFTER_S)
    except PortError as error:
        # The vendor's own words may name hosts and accounts: they go to the log, not to the caller (invariant I10).
        log.warning("answered 503: %s", error)
        return problem(503, "unavailable", "a service behind this one does not answer", retry_after_s=RETRY_AFTER_S)


def read_body(request: func.HttpRequest) -> bytes:
    """The body of a request that must have one.

    Raises:
        DomainError: It is empty.
    """
    body: bytes = request.get_body()
    if not body:
        raise DomainError("the request needs a JSON body", code="body_missing")
    return body


def _status_of(error: DomainError) -> int:
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return 400
