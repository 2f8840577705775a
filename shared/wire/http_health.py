"""What ``/health`` answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """Whether the service is fit to work."""

    status: Literal["healthy", "unhealthy"]
    complaints: dict[str, str] = Field(description="What does not work, and why; empty when all is well")
