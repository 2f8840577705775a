"""Campaigns as code: what a file declares. ``docs/schemas/campaign.schema.json`` is made of these models."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_fields import RequestModel

MAX_CAMPAIGNS = 100


class FiledCampaign(CampaignRequest):
    """A campaign as it is posted, and the revision of its name. Without ``waves`` all targets are one wave."""

    revision: Annotated[int, Field(ge=1, description="Raise it to make another campaign of the same name")] = 1

    @property
    def idempotency_key(self) -> str:
        """Name and revision are the campaign's identity: whatever else the file says, they make it once."""
        identity = hashlib.sha256(f"{self.name}\0{self.revision}".encode()).hexdigest()
        return f"campaign-file-{identity[:40]}"

    @property
    def body(self) -> bytes:
        """What is posted for it."""
        return self.model_dump_json(exclude_unset=True, exclude={"revision"}, by_alias=True).encode()


class CampaignFile(RequestModel):
    """One or several campaigns, by the version of this format."""

    model_config = ConfigDict(title="Groundswell campaign file")

    groundswell: Literal[1]
    campaigns: Annotated[list[FiledCampaign], Field(min_length=1, max_length=MAX_CAMPAIGNS)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for number, campaign in enumerate(self.campaigns):
            if campaign.idempotency_key in seen:
                raise ValueError(
                    f"campaigns.{number} has the name and revision of one before it; give it a revision of its own"
                )
            seen.add(campaign.idempotency_key)
        return self


def write_schema() -> dict[str, Any]:
    """The JSON Schema of a file."""
    schema = CampaignFile.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
