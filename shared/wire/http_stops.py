"""What ``/stop`` takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from shared.domain.stops import FleetStop
from shared.wire.http_fields import InvalidRequest, RequestModel, complaints


class StopRequest(RequestModel):
    """Why the whole fleet is stopped; people read it in the middle of the night."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class StopView(BaseModel):
    """Whether the fleet is stopped, and who stopped or released it last."""

    stopped: bool = Field(description="While true, no device gets an offer and no ticket gets a URL")
    reason: str = Field(description="Why it was stopped last; empty where it never was")
    stopped_by: str | None
    stopped_at: datetime | None
    released_by: str | None
    released_at: datetime | None


def read_stop_request(body: bytes) -> StopRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, gives no reason, or has other fields.
    """
    try:
        return StopRequest.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error


def view_stop(stop: FleetStop) -> StopView:
    """The stop as it is shown."""
    return StopView(
        stopped=stop.stands,
        reason=stop.reason,
        stopped_by=stop.stopped_by or None,
        stopped_at=stop.stopped_at,
        released_by=stop.released_by or None,
        released_at=stop.released_at,
    )
