"""What of a campaign request says which failures are tried again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.domain.retries import Retries
from shared.wire.http_fields import RequestModel, Seconds

type _Pattern = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[\w.:*?-]+$")]


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
