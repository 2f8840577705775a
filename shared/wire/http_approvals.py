"""What campaign requests say about people's approval, and what is shown of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from shared.domain.approvals import MAX_REQUIRED, ApprovalPolicy
from shared.domain.campaigns import Campaign
from shared.domain.plans import digest_plan
from shared.domain.starting import awaited_wave, missing_approvals, standing_approvals
from shared.wire.http_fields import InvalidRequest, RequestModel


class ApprovalRequest(RequestModel):
    """How many distinct people, the requester not among them, must approve; with ``between_waves`` each wave anew."""

    required: Annotated[int, Field(ge=1, le=MAX_REQUIRED)]
    between_waves: bool = False

    def to_policy(self) -> ApprovalPolicy:
        """The policy it means."""
        return ApprovalPolicy(required=self.required, between_waves=self.between_waves)


def refuse_approval(approval: ApprovalRequest | None) -> None:
    """Return if nobody's approval is asked for, where function keys serve and so nobody could ever give it.

    Raises:
        InvalidRequest: It is.
    """
    if approval is not None:
        raise InvalidRequest(
            "approval: nobody can approve while AUTH_MODE is keys, because a function key is nobody's name; leave it "
            "out, or have AUTH_MODE set to entra"
        )


class GivenApproval(BaseModel):
    """One person's approval."""

    who: str
    at: datetime
    wave: int
    remark: str


class ApprovalView(BaseModel):
    """Whose approval a campaign needs, and who gave it."""

    required: int = Field(description="Distinct people who must approve, the requester not among them")
    between_waves: bool = Field(description="Whether each wave needs them anew")
    about: str = Field(description="wave, or going back: what they are asked about")
    wave: int | None = Field(description="The wave that could start with it; null when none is asked about")
    plan_sha256: str = Field(description="Digest of the plan as it is; approvals of another plan do not count")
    given: list[GivenApproval]
    missing: int = Field(description="How many more people must approve")


def view_approval(campaign: Campaign) -> ApprovalView | None:
    """What is shown of it; None where the campaign needs nobody's approval."""
    if (policy := campaign.spec.approval) is None:
        return None
    wave = awaited_wave(campaign)
    return ApprovalView(
        required=policy.required,
        between_waves=policy.between_waves,
        about="going back" if campaign.goes_back else "wave",
        wave=wave.number if wave else None,
        plan_sha256=digest_plan(campaign),
        given=[
            GivenApproval(who=given.who, at=given.at, wave=given.wave, remark=given.remark)
            for given in standing_approvals(campaign)
        ],
        missing=missing_approvals(campaign) if campaign.waves else policy.required,
    )
