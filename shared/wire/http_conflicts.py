"""What of a campaign request says what it is worth against other campaigns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.domain.conflicts import MAX_PRIORITY, OnConflict, Precedence
from shared.wire.http_fields import InvalidRequest

type Priority = Annotated[int, Field(ge=0, le=MAX_PRIORITY)]
type OnConflictWord = Literal["skip", "wait", "supersede"]


def to_precedence(priority: int, on_conflict: OnConflictWord) -> Precedence:
    """The precedence that the two fields of a request mean.

    Raises:
        InvalidRequest: It could never do what it asks.
    """
    if on_conflict == "supersede" and priority == 0:
        raise InvalidRequest("on_conflict: nothing has a lower priority than 0, so nothing could be superseded")
    return Precedence(priority=priority, on_conflict=OnConflict(on_conflict))
