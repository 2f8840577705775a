"""The problem document that every refusal carries (RFC 9457)."""

from __future__ import annotations

from pydantic import BaseModel, Field

PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """Why a request got no answer."""

    type: str = "about:blank"
    title: str = Field(description="The kind of refusal, the same for all of one status")
    status: int
    detail: str = Field(description="A sentence for people: what is wrong, with the field, and what to do")
    code: str = Field(description="A stable word for programs, such as package_not_found")
