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


ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
SHA256_DIGEST = r"^[0-9a-f]{64}$"
CODE_PATTERN = r"^[\w.:*?-]+$"

_TIME = "such as 2026-12-01T22:00:00+01:00"
_PATTERN_WORDS = {
    ONE_LINE: "must be one line, without control characters",
    TIME_OF_DAY: "must be a time of day such as 04:30 or 22:00",
    SHA256_DIGEST: "must be 64 lower-case hex digits",
    CODE_PATTERN: "must be a code such as no_space, or a pattern such as download_*",
}
_WORDS = {
    "extra_forbidden": "there is no such field here",
    "string_type": "Input should be a valid string; write it in quotes",
    "timezone_aware": f"needs a timezone: an offset from UTC, {_TIME}",
    "datetime_parsing": f"must be a time {_TIME}",
    "datetime_from_date_parsing": f"must be a time {_TIME}",
}
"""In the place of what the library says: that speaks of its own workings, or does not say what to do."""

type Name = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE)]
type PercentField = Annotated[float, Field(ge=0, le=100)]
type Seconds = Annotated[float, Field(ge=1, le=366 * 86_400)]


def complaints(error: ValidationError) -> str:
    """What is wrong with a request, one field after the other."""
    return "; ".join(_complaint(problem) for problem in error.errors()[:10])


def _complaint(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "body"
    return f"{field}: {words_of(problem)}"


def words_of(problem: Any) -> str:
    """What is wrong with one field, for people.

    Args:
        problem: One of a ``ValidationError``'s.
    """
    words = str(problem["msg"]).removeprefix("Value error, ").replace(" after validation", "")
    if problem["type"] == "string_pattern_mismatch":
        return _PATTERN_WORDS.get(problem["ctx"]["pattern"], words)
    return _WORDS.get(problem["type"], words)


def shown_pattern(pattern: re.Pattern[str]) -> dict[str, JsonValue]:
    """What a field adds to its JSON Schema, where the rule is checked elsewhere."""
    return {"pattern": f"^{pattern.pattern}$"}


def exactly_one(**types: str) -> dict[str, JsonValue]:
    """What a model adds to its JSON Schema, where exactly one of these fields is to be given, null being none.

    Args:
        types: Field to its JSON type.
    """
    return {"oneOf": [{"required": [name], "properties": {name: {"type": type_}}} for name, type_ in types.items()]}
