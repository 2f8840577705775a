"""What never changes about a campaign, remembered so that reports do not cost a read of its row each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from shared.domain.campaign_specs import Deadlines
from shared.domain.campaigns import CampaignState
from shared.domain.ids import CampaignId
from shared.domain.retries import Retries
from shared.domain.rollouts import PackageTarget, Rollout
from shared.domain.variants import pick
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import NotThere

_REMEMBERED = 512
_UNKNOWN_FOR_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFacts:
    """What was fixed when the campaign was posted.

    Attributes:
        targets: Its packages, of which each device shall run one.
    """

    targets: tuple[PackageTarget, ...]
    shards: int
    deadlines: Deadlines
    retries: Retries = field(default_factory=Retries)
    end_at: datetime | None = None

    def target_of(self, rollout: Rollout) -> PackageTarget:
        """What the row's device shall run."""
        return pick(self.targets, rollout.variant)


class CampaignFactsCache:
    """The facts of campaigns met lately.

    A campaign that does not exist is remembered too, for a minute: a device may report any campaign it likes, and
    must not be able to buy a table read with each report.
    """

    def __init__(self, campaigns: CampaignStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._campaigns = campaigns
        self._clock = clock
        self._known: OrderedDict[CampaignId, tuple[CampaignFacts | None, float]] = OrderedDict()
        self._lock = Lock()

    def find(self, campaign: CampaignId) -> CampaignFacts | None:
        """The campaign's facts; None where there is no such campaign.

        Raises:
            PortError: The campaign cannot be read now.
        """
        with self._lock:
            facts, known_until = self._known.get(campaign, (None, 0.0))
        if self._clock() < known_until:
            return facts
        facts = self._read(campaign)
        self._remember(campaign, facts)
        return facts

    def read_state(self, campaign: CampaignId) -> CampaignState | None:
        """The campaign's state as it is now, which is never remembered; None where there is no such campaign.

        Raises:
            PortError: The campaign cannot be read now.
        """
        try:
            return self._campaigns.get(campaign).value.state
        except NotThere:
            return None

    def _read(self, campaign: CampaignId) -> CampaignFacts | None:
        try:
            row = self._campaigns.get(campaign).value
        except NotThere:
            return None
        return CampaignFacts(
            targets=row.spec.packages,
            shards=row.shards,
            deadlines=row.spec.deadlines,
            retries=row.spec.retries,
            end_at=row.spec.schedule.end_at if row.spec.schedule else None,
        )

    def _remember(self, campaign: CampaignId, facts: CampaignFacts | None) -> None:
        known_until = float("inf") if facts else self._clock() + _UNKNOWN_FOR_S
        with self._lock:
            self._known[campaign] = facts, known_until
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
