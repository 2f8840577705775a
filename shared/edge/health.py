"""HTTP: is the service fit to work?"""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from shared.edge.answers import json_response
from shared.settings import SettingsError
from shared.wire.http_health import Health
from shared.wiring import Service


def show(service: Callable[[], Service]) -> func.HttpResponse:
    """200 when the settings are complete and everything behind answers; 503 with all that is wrong otherwise."""
    try:
        complaints = dict(service().find_outages())
    except SettingsError as error:
        complaints = {"settings": error.message}
    status = 503 if complaints else 200
    health = Health(status="unhealthy" if complaints else "healthy", complaints=complaints)
    return json_response(health.model_dump_json(), status)
