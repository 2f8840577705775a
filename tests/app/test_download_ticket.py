"""Exchanging a ticket for a URL: the rollout and the campaign are looked at once more, each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaign_specs import CampaignSpec, DeviceQuery
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import NotFound
from shared.domain.ids import CampaignId, DeviceId, PackagePath, shard_of
from shared.domain.packages import PackageState, RegisteredPackage
from shared.domain.rollouts import BEGUN, FINAL, PROGRESS, PackageTarget, RolloutState
from shared.domain.stops import FleetStop, stop
from shared.handlers.exchange_ticket import STOP_RETRY_S, Exchange, Gone, NotNow, Redirect, TicketDesk
from shared.handlers.meter_downloads import SPREAD_S, DownloadMeter
from shared.handlers.stop_fleet import StopWatch
from shared.ports.stored import Stored
from shared.trust.tickets import Ticket, TicketKeys, TicketRefused, issue_ticket
from tests.support.memory_campaigns import MemoryCampaigns, MemoryStops, MemoryTraffic
from tests.support.memory_packages import MemoryLinks, MemoryPackages, settled
from tests.support.memory_rollouts import MemoryRollouts
from tests.support.repository import new_package
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout

KEYS = TicketKeys(current="k1", secrets={"k1": bytes(range(32))})
DEVICE = DeviceId("gw#1'?")
PACKAGE = new_package()


class World:
    """One campaign over one device."""

    def __init__(
        self,
        campaign: CampaignState = CampaignState.RUNNING,
        rollout: RolloutState = RolloutState.OFFERED,
        attempt: int = 1,
        is_forced: bool = False,
    ) -> None:
        self.campaigns, self.rollouts, self.packages = MemoryCampaigns(), MemoryRollouts(), MemoryPackages()
        self.stops, self.monotonic_s = MemoryStops(), 0.0
        self.fleet_bytes_per_s: int | None = None
        self.packages.create(RegisteredPackage(package=PACKAGE, state=PackageState.PUBLISHED, accepted_at=NOON))
        spec = CampaignSpec(
            name="Spring fix",
            package=PackageTarget(name=PACKAGE.name, version=PACKAGE.version.text),
            targets=DeviceQuery(query="SELECT * FROM devices"),
            waves=(),
        )
        self.campaigns.create(
            Campaign(
                id=CAMPAIGN,
                spec=spec,
                package=PACKAGE,
                shards=3,
                state=campaign,
                is_forced=is_forced,
                step_due_at=NOON,
                requested_by="somebody",
                created_at=NOON,
                changed_at=NOON,
            )
        )
        row = replace(make_rollout(DEVICE, rollout), attempt=attempt)
        self.rollouts.create_batch(CAMPAIGN, shard_of(DEVICE, 3), [row])

    def exchange(self, path: str = PACKAGE.path, **changes: object) -> Exchange:
        said = {
            "device": DEVICE,
            "campaign": CAMPAIGN,
            "path": PACKAGE.path,
            "attempt": 1,
            "expires": NOON + timedelta(hours=1),
            **changes,
        }
        ticket = issue_ticket(Ticket(**said), KEYS)  # type: ignore[arg-type]
        return self.desk().exchange_ticket(path, ticket, now=NOON)

    def desk(self) -> TicketDesk:
        return TicketDesk(
            keys=KEYS,
            campaigns=self.campaigns,
            rollouts=self.rollouts,
            packages=self.packages,
            links=MemoryLinks(),
            link_lifetime=timedelta(minutes=10),
            stop=StopWatch(self.stops, clock=lambda: self.monotonic_s),
            meter=DownloadMeter(MemoryTraffic(), fleet_bytes_per_s=self.fleet_bytes_per_s),
        )


@pytest.mark.parametrize("state", [each for each in PROGRESS if each is not RolloutState.PLANNED])
def test_good_ticket_gets_a_link_to_the_content(state: RolloutState) -> None:
    exchange = World(rollout=state).exchange()
    assert isinstance(exchange, Redirect)
    assert PACKAGE.blob_name in exchange.url
    assert (NOON + timedelta(minutes=10)).isoformat() in exchange.url


@pytest.mark.parametrize("state", sorted(FINAL))
def test_ended_rollout_gets_nothing_any_more(state: RolloutState) -> None:
    exchange = World(rollout=state).exchange()
    assert isinstance(exchange, Gone)
    assert exchange.code == "rollout_over"


@pytest.mark.parametrize("state", [CampaignState.ABORTED, CampaignState.REVERTING, CampaignState.REVERTED])
def test_campaign_taken_back_gives_its_package_to_nobody(state: CampaignState) -> None:
    exchange = World(campaign=state).exchange()
    assert isinstance(exchange, Gone)
    assert exchange.code == "campaign_over"


def test_paused_campaign_asks_to_come_again() -> None:
    exchange = World(campaign=CampaignState.PAUSED).exchange()
    assert isinstance(exchange, NotNow)
    assert exchange.retry_after_s > 0


def test_ticket_of_an_earlier_attempt_is_superseded() -> None:
    exchange = World(attempt=2).exchange()
    assert isinstance(exchange, Gone)
    assert exchange.code == "superseded"


@pytest.mark.parametrize(
    "changes",
    [
        {"campaign": CampaignId("unheard-of")},
        {"device": DeviceId("another")},
    ],
)
def test_ticket_for_what_is_unknown_finds_nothing(changes: dict[str, object]) -> None:
    with pytest.raises(NotFound):
        World().exchange(**changes)


def test_ticket_for_a_package_that_is_not_the_campaigns_finds_nothing() -> None:
    other = PackagePath("other/1.0/other-1.0.img")
    ticket = Ticket(device=DEVICE, campaign=CAMPAIGN, path=other, attempt=1, expires=NOON + timedelta(hours=1))
    with pytest.raises(NotFound):
        World().desk().exchange_ticket(other, issue_ticket(ticket, KEYS), now=NOON)


def test_ticket_opens_only_the_path_it_names() -> None:
    with pytest.raises(TicketRefused):
        World().exchange(path="other/1.0/other-1.0.img")


def test_expired_ticket_opens_nothing() -> None:
    with pytest.raises(TicketRefused):
        World().exchange(expires=NOON)


@pytest.mark.parametrize("text", ["", "k1", "..", "k1.e30.", "k2.e30.AAAA", "a.b.c.d"])
def test_what_is_no_ticket_opens_nothing(text: str) -> None:
    with pytest.raises(TicketRefused):
        World().desk().exchange_ticket(PACKAGE.path, text, now=NOON)


def test_a_ticket_for_a_withdrawn_package_opens_nothing() -> None:
    world = World()
    assert isinstance(world.exchange(), Redirect)
    for state in (PackageState.WITHDRAWING, PackageState.WITHDRAWN):
        stored = world.packages.get(PACKAGE.name, PACKAGE.version.text)
        world.packages.save(settled(stored, state))
        answer = world.exchange()
        assert isinstance(answer, Gone)
        assert answer.code == "package_withdrawn"


def test_a_stopped_fleet_hands_out_no_package_and_asks_to_come_again() -> None:
    world = World()
    world.stops.save(Stored(value=stop(FleetStop(), "smoke", who="ada", now=NOON), etag=""))
    answer = world.exchange()
    assert isinstance(answer, NotNow)
    assert (answer.code, answer.retry_after_s) == ("fleet_stopped", STOP_RETRY_S)


def test_a_fleet_whose_bandwidth_is_used_up_asks_to_come_again() -> None:
    world = World()
    world.fleet_bytes_per_s = PACKAGE.length_bytes
    desk = world.desk()
    ticket = Ticket(device=DEVICE, campaign=CAMPAIGN, path=PACKAGE.path, attempt=1, expires=NOON + timedelta(hours=1))
    text = issue_ticket(ticket, KEYS)
    assert isinstance(desk.exchange_ticket(PACKAGE.path, text, now=NOON), Redirect)
    answer = desk.exchange_ticket(PACKAGE.path, text, now=NOON)
    assert isinstance(answer, NotNow)
    assert answer.code == "bandwidth_used_up"
    assert 1 <= answer.retry_after_s <= 1 + SPREAD_S
    assert isinstance(desk.exchange_ticket(PACKAGE.path, text, now=NOON + timedelta(seconds=1)), Redirect)


@pytest.mark.parametrize("state", sorted(BEGUN))
def test_a_device_that_has_begun_may_finish_when_its_campaign_is_cancelled_softly(state: RolloutState) -> None:
    assert isinstance(World(campaign=CampaignState.ABORTED, rollout=state).exchange(), Redirect)


def test_a_forced_cancel_ends_the_downloads_of_those_that_have_begun() -> None:
    exchange = World(campaign=CampaignState.ABORTED, rollout=RolloutState.DOWNLOADING, is_forced=True).exchange()
    assert isinstance(exchange, Gone)
    assert exchange.code == "campaign_over"
