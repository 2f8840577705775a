"""What operators may say in the body of ``POST /campaigns/{id}/{action}``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from shared.wire.http_fields import InvalidRequest, RequestModel, complaints


class ActionRequest(RequestModel):
    """What an action needs to know beyond its name; most need nothing."""

    wave: Annotated[int, Field(ge=1, description="skip-wave: the wave to skip")] | None = None


def read_action_request(body: bytes) -> ActionRequest:
    """The request in a JSON body; an empty body says nothing.

    Raises:
        InvalidRequest: It is no JSON, or fields are unknown or out of bounds.
    """
    if not body:
        return ActionRequest()
    try:
        return ActionRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error
