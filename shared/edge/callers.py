"""HTTP: who asks, and whether they may."""

from __future__ import annotations

import azure.functions as func

from shared.domain.roles import Caller, Operation, check_allowed
from shared.wiring import Service, tokens_are_demanded


def admit(request: func.HttpRequest, service: Service, operation: Operation) -> Caller:
    """The caller, who may do this. Every route that needs a key or a token begins with it.

    Raises:
        TokenRefused: They show no token, or one that must not be believed.
        Forbidden: They are known, and have no role for it.
        PortError: Nobody can be known now.
    """
    caller = service.identify(request.headers.get("Authorization") or "")
    check_allowed(caller, operation)
    return caller


def host_auth_level() -> func.AuthLevel:
    """What the host asks for before a function runs: a function key, or nothing where our code demands a token."""
    return func.AuthLevel.ANONYMOUS if tokens_are_demanded() else func.AuthLevel.FUNCTION
