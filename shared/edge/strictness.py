"""HTTP: what nobody reads must not be sent. A mistyped ``dry_run`` would otherwise start a campaign."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import azure.functions as func

from shared.domain.errors import DomainError
from shared.edge.answers import answer
from shared.edge.api import ROUTES
from shared.wire.openapi import JSON, Route

HOSTS_OWN = frozenset({"code", "clientId"})
"""Query parameters that the functions host reads before us: a function key, and its name."""


def refusal_of(request: func.HttpRequest, name: str) -> func.HttpResponse | None:
    """The problem document for a request that says what its route does not read; None where there is nothing to say.

    Args:
        name: Of the function, as in ``ROUTES``.
    """
    route = ROUTES.get(name)
    if route is None:
        return None
    try:
        check_query(request, route)
        check_keys(request, route)
    except DomainError as error:
        return answer(_raising(error))
    return None


def check_query(request: func.HttpRequest, route: Route) -> None:
    """Return if the route knows every query parameter.

    Raises:
        DomainError: It does not.
    """
    known = [parameter.name for parameter in route.parameters if parameter.place == "query"]
    unknown = [name for name in request.params if name not in HOSTS_OWN.union(known)]
    if unknown:
        there_are = f"there are {', '.join(known)}" if known else "this route has none"
        told = "; ".join(f"{name[:80]}: there is no such query parameter" for name in unknown[:10])
        raise DomainError(f"{told}; {there_are}", code="invalid_request")


def check_keys(request: func.HttpRequest, route: Route) -> None:
    """Return if no object in a JSON body has a key twice; what is no JSON is left to those who read it.

    Raises:
        DomainError: One has: which of the values counts would be anybody's guess.
    """
    if route.body is None or route.body_type != JSON:
        return
    try:
        json.loads(request.get_body() or b"null", object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    key, times = max(Counter(key for key, _ in pairs).items(), key=lambda item: item[1], default=("", 0))
    if times > 1:
        raise DomainError(f"{key[:80]}: the body has this key {times} times in one object", code="invalid_request")


def _raising(error: DomainError) -> Callable[[], func.HttpResponse]:
    def respond() -> func.HttpResponse:
        raise error

    return respond
