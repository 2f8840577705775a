"""Logs of failed rollouts."""

from __future__ import annotations

from collections.abc import Mapping

from shared.ports.logs import MAX_LOG_BYTES
from shared.wire.openapi import Answer, Route

_TEXT = "text/plain"

LOGS: Mapping[str, Route] = {
    "put_log": Route(
        method="PUT",
        path="logs",
        summary="Send the log of a rollout that failed",
        description="The ticket says of which device, campaign and attempt; sent again, it replaces the one before.",
        access="ticket",
        body={"type": "string", "minLength": 1, "maxLength": MAX_LOG_BYTES},
        body_type=_TEXT,
        answers={204: Answer(meaning="It is kept")},
        refusals={
            400: "It is empty",
            401: "The ticket is missing, forged or expired",
            413: "It has more than a mebibyte",
        },
    ),
    "get_device_log": Route(
        method="GET",
        path="campaigns/{id}/devices/{device}/log",
        summary="Show the log that a device sent after its rollout failed",
        description="As the device sent it, unread: it may hold anything.",
        answers={
            200: Answer(
                meaning="The log of its last attempt that sent one",
                body={"type": "string"},
                content_type=_TEXT,
                headers={"Groundswell-Attempt": "The attempt it is about"},
            )
        },
        refusals={404: "The device sent none in this campaign"},
    ),
}
