"""Between the functions host and the handlers: requests and messages in, answers and verdicts out.

The verdict depends on the kind of error alone. What no retry can mend is answered with a problem document or parked;
what the outside failed at is given back to the host, which tries again; anything else is a bug and passes through.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import azure.functions as func

from shared.domain.errors import Conflict, DomainError, InvalidId, MalformedMessage, NotFound, TrustError
from shared.ports.bus import Parking
from shared.ports.errors import PortError, QuotaExceeded, Throttled
from shared.settings import SettingsError

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
RETRY_AFTER_S = 10
_STATUS: dict[type[DomainError], int] = {
    TrustError: 401,
    NotFound: 404,
    Conflict: 409,
    InvalidId: 400,
    SettingsError: 503,
}
_TITLES = {
    400: "The request cannot be used",
    401: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    410: "No longer on offer",
    503: "Not available now",
}


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer."""
    body = document if isinstance(document, (str, bytes)) else json.dumps(document)
    return func.HttpResponse(body, status_code=status, mimetype="application/json", headers=headers)


def problem(status: int, code: str, detail: str, *, retry_after_s: float | None = None) -> func.HttpResponse:
    """An RFC 9457 problem document; ``code`` is the stable word for programs."""
    document = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail, "code": code}
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
    return func.HttpResponse(json.dumps(document), status_code=status, mimetype=PROBLEM, headers=headers)


def answer(respond: Callable[[], func.HttpResponse]) -> func.HttpResponse:
    """The response, or the problem document for the error it raised."""
    try:
        return respond()
    except DomainError as error:
        return problem(_status_of(error), error.code, error.message)
    except Throttled as error:
        return problem(503, "throttled", "too many calls", retry_after_s=error.retry_after_s or RETRY_AFTER_S)
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


def consume[M](
    source: str,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[Sequence[M]], None],
    parking: Parking,
) -> None:
    """Hand the readable messages to the handler and park the others.

    Raises:
        PortError: The host must redeliver the whole batch; parking a message twice keeps it once.
    """
    readable: list[tuple[bytes, M]] = []
    for message in messages:
        body = message.get_body()
        try:
            readable.append((body, read(body)))
        except MalformedMessage as error:
            _park(parking, source, body, error)
    if readable:
        _handle(source, readable, handle, parking)


def _handle[M](
    source: str, readable: Sequence[tuple[bytes, M]], handle: Callable[[Sequence[M]], None], parking: Parking
) -> None:
    try:
        handle([message for _, message in readable])
    except DomainError as error:
        if len(readable) > 1:
            # One message spoils the batch: take them one by one, so that only it is parked.
            for pair in readable:
                _handle(source, [pair], handle, parking)
            return
        _park(parking, source, readable[0][0], error)
    except QuotaExceeded:
        log.error("%s: the IoT Hub's daily quota is used up", source)
        raise


def _park(parking: Parking, source: str, body: bytes, error: DomainError) -> None:
    log.error("%s: parked a message: %s: %s", source, error.code, error.message)
    parking.park(source=source, body=body, code=error.code, reason=error.message)


def _status_of(error: DomainError) -> int:
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return 400
