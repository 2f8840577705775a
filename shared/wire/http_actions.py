"""What operators may say in the body of ``POST /campaigns/{id}/{action}``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from shared.domain.approvals import MAX_REMARK
from shared.wire.http_fields import ONE_LINE, SHA256_DIGEST, InvalidRequest, RequestModel, complaints


class ActionRequest(RequestModel):
    """What an action needs to know beyond its name, and what is said to it; most need nothing.

    With ``plan_sha256`` it is done only if the campaign's plan is the one that was looked at.
    """

    remark: Annotated[str, Field(max_length=MAX_REMARK, pattern=ONE_LINE, description="Kept in the audit log")] = ""
    wave: Annotated[int, Field(ge=1, description="skip-wave: the wave to skip; approve: the wave looked at")] | None = (
        None
    )
    plan_sha256: (
        Annotated[str, Field(pattern=SHA256_DIGEST, description="`approval.plan_sha256` of the campaign")] | None
    ) = None


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
