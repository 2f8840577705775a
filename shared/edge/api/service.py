"""The service itself."""

from __future__ import annotations

from collections.abc import Mapping

from shared.edge.api.parts import BAD_REQUEST
from shared.wire.http_health import Health
from shared.wire.http_stops import StopRequest, StopView
from shared.wire.openapi import Answer, Route

SERVICE: Mapping[str, Route] = {
    "get_health": Route(
        method="GET",
        path="health",
        summary="Say whether the settings are complete and the services behind answer",
        access="open",
        answers={
            200: Answer(meaning="All is well", body=Health),
            503: Answer(meaning="`complaints` says what does not work", body=Health),
        },
        refusals={},
    ),
    "post_stop": Route(
        method="POST",
        path="stop",
        summary="Stop the whole fleet: no offer leaves, no package is handed out",
        body=StopRequest,
        answers={200: Answer(meaning="The stop that stands now", body=StopView)},
        refusals=BAD_REQUEST,
    ),
    "delete_stop": Route(
        method="DELETE",
        path="stop",
        summary="Let the fleet go on",
        answers={200: Answer(meaning="The stop, which stands no more", body=StopView)},
        refusals={},
    ),
    "get_stop": Route(
        method="GET",
        path="stop",
        summary="Say whether the fleet is stopped, by whom and why",
        answers={200: Answer(meaning="The stop, standing or not", body=StopView)},
        refusals={},
    ),
    "get_openapi": Route(
        method="GET",
        path="openapi.json",
        summary="This document",
        access="open",
        answers={200: Answer(meaning="An OpenAPI 3.1 document", body={"type": "object"})},
        refusals={},
    ),
}
