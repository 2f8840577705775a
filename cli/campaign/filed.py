"""``campaign plan FILE`` and ``campaign apply FILE``: what a file would change, and changing it once."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cli.campaign.files import ReadFile
from cli.campaign.screen import difference_lines, plan_lines
from cli.service_api import Answer, CallRefused, ServiceApi
from shared.wire.campaign_files import FiledCampaign
from shared.wire.http_dry_runs import DryRunView, ExistingView, ForecastView, OperationView

LOOK_AGAIN_S = 1.0

type Say = Callable[[str], None]


class Standing(StrEnum):
    """What a campaign in a file is to the service."""

    NEW = "would be created"
    UNCHANGED = "unchanged"
    OTHER = "drift: a campaign of this name and revision was made from other content"
    EDITED = "drift: the campaign was changed by hand since it was made"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRunner:
    """Takes a file to the service.

    Attributes:
        say: Told each line for people.
        pause: Waits so many seconds.
    """

    api: ServiceApi
    read: ReadFile
    say: Say
    pause: Callable[[float], None] = time.sleep

    def plan(self) -> bool:
        """Say what would change and what it would take; whether all of it may be applied."""
        planned = [self._plan_one(number) for number in range(len(self.read.file.campaigns))]
        return all(planned)

    def apply(self) -> bool:
        """Create what is not there yet, unless anything has drifted; whether all is as the file says."""
        found = [self._compare(number) for number in range(len(self.read.file.campaigns))]
        if drifted := [number for number, existing in enumerate(found) if _standing(existing) in _DRIFTED]:
            for number in drifted:
                self._say_standing(number, found[number])
            self.say("nothing was applied; raise the revision to make another campaign, or put the file right")
            return False
        applied = [self._apply_one(number, existing) for number, existing in enumerate(found)]
        return all(applied)

    def _plan_one(self, number: int) -> bool:
        answer = self._post(number, dry_run="true")
        existing, plan = None, None
        if answer.status == 202:
            plan = self._wait_for(OperationView.model_validate(answer.document))
        elif answer.is_ok:
            view = DryRunView.model_validate(answer.document)
            existing, plan = view.existing, view.plan
        else:
            self._say_refusal(number, answer)
            return False
        self._say_standing(number, existing)
        for line in plan_lines(plan) if plan else ():
            self.say(line)
        return _standing(existing) not in _DRIFTED

    def _wait_for(self, operation: OperationView) -> ForecastView:
        while operation.state == "running":
            self.pause(LOOK_AGAIN_S)
            operation = OperationView.model_validate(self.api.get(f"operations/{operation.id}"))
        if operation.plan is None or operation.state != "succeeded":
            raise CallRefused(f"the dry run {operation.state}: {operation.reason}")
        return operation.plan

    def _compare(self, number: int) -> ExistingView | None:
        answer = self._post(number, dry_run="compare")
        if not answer.is_ok:
            raise CallRefused(self.read.explain(number, answer.detail))
        return DryRunView.model_validate(answer.document).existing

    def _apply_one(self, number: int, existing: ExistingView | None) -> bool:
        if existing is not None:
            self._say_standing(number, existing)
            return True
        answer = self._post(number)
        if not answer.is_ok:
            self._say_refusal(number, answer)
            return False
        self.say(f"{_name(self._campaign(number))}: created as {answer.document['id']}")
        return True

    def _post(self, number: int, *, dry_run: str = "") -> Answer:
        campaign = self._campaign(number)
        return self.api.call(
            "POST",
            "campaigns",
            parameters={"dry_run": dry_run} if dry_run else None,
            body=campaign.body,
            idempotency_key=campaign.idempotency_key,
        )

    def _campaign(self, number: int) -> FiledCampaign:
        return self.read.file.campaigns[number]

    def _say_standing(self, number: int, existing: ExistingView | None) -> None:
        standing = _standing(existing)
        known = f" ({existing.id}, {existing.state})" if existing else ""
        self.say(f"{_name(self._campaign(number))}: {standing}{known}")
        place_of = functools.partial(self.read.place_of, number)
        for line in difference_lines(existing, place_of) if existing else ():
            self.say(line)

    def _say_refusal(self, number: int, answer: Answer) -> None:
        self.say(f"{_name(self._campaign(number))}: refused ({answer.status})")
        self.say(self.read.explain(number, answer.detail or "the service gives no reason"))


_DRIFTED = frozenset({Standing.OTHER, Standing.EDITED})


def _standing(existing: ExistingView | None) -> Standing:
    if existing is None:
        return Standing.NEW
    if not existing.same_request:
        return Standing.OTHER
    return Standing.EDITED if existing.differences else Standing.UNCHANGED


def _name(campaign: FiledCampaign) -> str:
    return f"{campaign.name} (revision {campaign.revision})"
