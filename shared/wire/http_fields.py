"""What the models of requests have in common: their strictness, and fields with bounds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shared.domain.errors import DomainError


class InvalidRequest(DomainError):
    """The request breaks a rule; the message names every field that does."""

    code = "invalid_request"


class RequestModel(BaseModel):
    """Part of a request: unknown fields are refused, and text is stripped."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


type Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
type PercentField = Annotated[float, Field(ge=0, le=100)]
type Seconds = Annotated[float, Field(ge=1, le=366 * 86_400)]


def complaints(error: ValidationError) -> str:
    """What is wrong with a request, one field after the other."""
    return "; ".join(_complaint(problem) for problem in error.errors()[:10])


def _complaint(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "body"
    return f"{field}: {problem['msg'].removeprefix('Value error, ')}"


def shown_pattern(pattern: re.Pattern[str]) -> dict[str, JsonValue]:
    """What a field adds to its JSON Schema, where the rule is checked elsewhere."""
    return {"pattern": f"^{pattern.pattern}$"}


def exactly_one(**types: str) -> dict[str, JsonValue]:
    """What a model adds to its JSON Schema, where exactly one of these fields is to be given, null being none.

    Args:
        types: Field to its JSON type.
    """
    return {"oneOf": [{"required": [name], "properties": {name: {"type": type_}}} for name, type_ in types.items()]}
