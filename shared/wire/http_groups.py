"""What operators put under ``/groups``, and what they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.domain.groups import Group
from shared.wire.http_fields import InvalidRequest, RequestModel, complaints, exactly_one
from shared.wire.http_target_fields import ListName, Query


class GroupRequest(RequestModel):
    """What a group means: a query over ``devices``, or a list in the container ``target-lists``; exactly one."""

    model_config = ConfigDict(json_schema_extra=exactly_one(query="string", list="string"))

    query: Query | None = None
    list_name: Annotated[ListName | None, Field(alias="list")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.query is None) == (self.list_name is None):
            raise ValueError("give either query or list")
        return self


class GroupView(BaseModel):
    """A saved group."""

    name: str
    query: str | None = Field(description="The query that finds its devices; null for a list")
    list: str | None = Field(description="The blob of ids in the container target-lists; null for a query")
    number: int = Field(description="Rises with each change")
    changed_by: str
    changed_at: datetime


class GroupPage(BaseModel):
    """Part of the groups; ``continuation`` is the query parameter for the next part, null at the end."""

    groups: list[GroupView]
    continuation: str | None = None


def read_group_request(body: bytes) -> GroupRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, or fields are missing, unknown or out of bounds.
    """
    try:
        return GroupRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error


def view_group(group: Group) -> GroupView:
    """A group as it is answered."""
    return GroupView(
        name=group.name,
        query=group.query or None,
        list=group.list_name or None,
        number=group.number,
        changed_by=group.changed_by,
        changed_at=group.changed_at,
    )
