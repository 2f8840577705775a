"""What operators put to ``/campaigns/{id}/membership``."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from shared.wire.http_fields import InvalidRequest, RequestModel, complaints


class MembershipRequest(RequestModel):
    """From now on a campaign has the devices it has; a snapshot cannot be made dynamic again."""

    membership: Literal["closed"]


def read_membership_request(body: bytes) -> MembershipRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, or says anything else.
    """
    try:
        return MembershipRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error
