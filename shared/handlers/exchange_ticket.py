"""Exchange a device's ticket for a URL that lives minutes, after looking at its rollout and its campaign once more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import NotFound
from shared.domain.ids import shard_of
from shared.domain.rollouts import BEGUN, FINAL, Rollout
from shared.handlers.meter_downloads import DownloadMeter
from shared.handlers.stop_fleet import StopWatch
from shared.handlers.withdraw_package import is_package_withdrawn
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import NotThere
from shared.ports.packages import DownloadLinks, PackageStore
from shared.ports.rollouts import RolloutStore
from shared.trust.tickets import Ticket, TicketKeys, TicketRefused, read_ticket

PAUSE_RETRY_S = 300
STOP_RETRY_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Fetch it here (307)."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """This offer no longer stands (410); asking again does not help."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNow:
    """The offer stands, but the campaign rests (503 with Retry-After)."""

    code: str
    detail: str
    retry_after_s: float


type Exchange = Redirect | Gone | NotNow


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDesk:
    """What the exchange needs.

    Attributes:
        link_lifetime: How long a URL holds; a download under way goes on when it ends, a resumed one asks again.
    """

    keys: TicketKeys
    campaigns: CampaignStore
    rollouts: RolloutStore
    packages: PackageStore
    links: DownloadLinks
    link_lifetime: timedelta
    stop: StopWatch
    meter: DownloadMeter

    def exchange_ticket(self, path: str, ticket_text: str, *, now: datetime) -> Exchange:
        """The answer to ``GET /downloads/<path>`` with the header ``Groundswell-Ticket``.

        Raises:
            TicketRefused: The ticket is missing, forged, expired, or for another path.
            NotFound: The ticket is good, but its campaign or rollout is unknown.
            PortError: A store does not answer.
        """
        ticket = read_ticket(ticket_text, self.keys, now=now)
        if ticket.path != path:
            raise TicketRefused("the ticket is for another package")
        if self.stop.look().stands:
            return NotNow(code="fleet_stopped", detail="the whole fleet is stopped", retry_after_s=STOP_RETRY_S)
        campaign = self._campaign(ticket)
        rollout = self._rollout(ticket, campaign)
        package = campaign.package_of(rollout)
        obstacle = _judge_campaign(campaign, rollout) or _judge_rollout(rollout, ticket)
        if obstacle is not None:
            return obstacle
        if ticket.path != package.path:
            raise NotFound("the campaign does not roll out this package to this device")
        if is_package_withdrawn(package, self.packages):
            return Gone(code="package_withdrawn", detail="the package was withdrawn")
        # Last, because it is charged: whoever is refused for another reason fetches nothing.
        if (wait_s := self.meter.admit(campaign, package.length_bytes, now=now)) is not None:
            return NotNow(code="bandwidth_used_up", detail="too many devices download now", retry_after_s=wait_s)
        return Redirect(url=self.links.link(package.blob_name, now=now, lifetime=self.link_lifetime))

    def _campaign(self, ticket: Ticket) -> Campaign:
        try:
            return self.campaigns.get(ticket.campaign).value
        except NotThere as error:
            raise NotFound("there is no such campaign") from error

    def _rollout(self, ticket: Ticket, campaign: Campaign) -> Rollout:
        shard = shard_of(ticket.device, campaign.shards)
        rows = self.rollouts.read_devices(ticket.campaign, shard, [ticket.device])
        if ticket.device not in rows:
            raise NotFound("the device has no part in this campaign")
        return rows[ticket.device].value


def _judge_campaign(campaign: Campaign, rollout: Rollout) -> Gone | NotNow | None:
    if campaign.state is CampaignState.ABORTED and not _may_finish(campaign, rollout):
        return Gone(code="campaign_over", detail="the campaign is aborted")
    if campaign.state is CampaignState.REVERTED:
        return Gone(code="campaign_over", detail=f"the campaign is {campaign.state}")
    if campaign.goes_back:
        return Gone(code="campaign_over", detail="the campaign is being reverted")
    if campaign.state is CampaignState.PAUSED:
        return NotNow(code="campaign_paused", detail="the campaign is paused", retry_after_s=PAUSE_RETRY_S)
    return None


def _may_finish(campaign: Campaign, rollout: Rollout) -> bool:
    """A campaign given up softly lets devices that have begun go on."""
    return rollout.state in BEGUN and not campaign.is_forced


def _judge_rollout(rollout: Rollout, ticket: Ticket) -> Gone | None:
    if ticket.attempt != rollout.attempt:
        return Gone(code="superseded", detail=f"attempt {rollout.attempt} has replaced attempt {ticket.attempt}")
    if rollout.state in FINAL:
        return Gone(code="rollout_over", detail=f"the rollout has ended: {rollout.state}")
    return None
