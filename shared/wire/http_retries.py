"""What of a campaign request says which failures are tried again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, Field

from shared.domain.retries import Retries
from shared.wire.http_fields import CODE_PATTERN, RequestModel, Seconds

type _Pattern = Annotated[str, Field(min_length=1, max_length=60, pattern=CODE_PATTERN)]


class RetriesRequest(RequestModel):
    """Further attempts for devices that failed; see ``shared.domain.retries.Retries``."""

    maximum: Annotated[int, Field(ge=1, le=10)]
    backoff_s: Seconds = Retries().backoff_s
    factor: Annotated[float, Field(ge=1, le=10)] = Retries().factor
    longest_s: Seconds = Retries().longest_s
    jitter: Annotated[float, Field(ge=0, le=1)] = Retries().jitter
    codes: Annotated[list[_Pattern], Field(min_length=1, max_length=20)] = Field(
        default_factory=lambda: list(Retries().codes)
    )
    timed_out: bool = Retries().timed_out

    def to_retries(self) -> Retries:
        """The policy it means."""
        return Retries(**self.model_dump() | {"codes": tuple(self.codes)})


class RetriesView(BaseModel):
    """Which failures a campaign tries again."""

    maximum: int = Field(description="Further attempts after the first")
    backoff_s: float = Field(description="Seconds before the second attempt")
    factor: float = Field(description="Each further wait is so many times as long")
    longest_s: float = Field(description="No wait is longer, the jitter apart")
    jitter: float = Field(description="Each wait is longer by up to this share of it")
    codes: list[str] = Field(description="Patterns of the failure codes that are tried again")
    timed_out: bool = Field(description="Whether silence is tried again, too")


def view_retries(retries: Retries) -> RetriesView | None:
    """The policy; None for one that tries nothing again."""
    return RetriesView(**asdict(retries)) if retries.maximum else None
