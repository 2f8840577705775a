"""An instance of the old version beside one of the new: it leaves what it cannot read alone, and does all else."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import CampaignId
from shared.domain.reverting import child_id
from shared.domain.rollouts import RolloutState
from shared.handlers.join_newcomers import join_newcomers
from shared.handlers.pause_campaign import pause_campaigns_of
from shared.handlers.reconcile import ReconcilePorts, reconcile
from shared.handlers.reconsider_passed import reconsider_passed
from shared.handlers.resume_campaigns import resume_campaigns
from shared.handlers.show_campaigns import list_campaigns
from shared.ports.errors import UnreadableRow
from tests.app.test_reverting_operators import reverting
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.rollouts import CAMPAIGN

C, S = CampaignState, RolloutState


def two_campaigns() -> tuple[CampaignWorld, CampaignId, CampaignId]:
    """Both run; the first uses what only the newer version knows."""
    world = CampaignWorld(fleet(8), outcome=lambda _device: None)
    newer = world.post(targets={"devices": fleet(8)[:4]}, key="newer").id
    known = world.post(targets={"devices": fleet(8)[4:]}, key="known").id
    for campaign in (newer, known):
        world.run_until(campaign, C.RUNNING)
    world.campaigns.newer.add(newer)
    return world, newer, known


def test_overdue_steps_of_all_others_are_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    world, newer, known = two_campaigns()
    world.bus.waiting.clear()
    later = world.now + timedelta(days=1)

    with caplog.at_level(logging.WARNING):
        assert resume_campaigns(world.campaigns, world.bus, now=later) == 1
        assert reconsider_passed(world.campaigns, world.bus, now=later) == 0
        assert join_newcomers(world.ports, now=later) == 0
    assert {waiting.message.session_id for waiting in world.bus.waiting} == {known}
    assert newer in caplog.text


def test_a_withdrawn_package_pauses_all_others_and_comes_again_for_the_one() -> None:
    world, newer, known = two_campaigns()
    package = world.campaign(known).package

    with pytest.raises(UnreadableRow, match=newer):
        pause_campaigns_of(package, "bad", world.ports, now=world.now)
    assert world.campaign(known).state is C.PAUSED
    world.campaigns.newer.clear()
    assert world.campaign(newer).state is C.RUNNING
    assert pause_campaigns_of(package, "bad", world.ports, now=world.now) == 1
    assert world.campaign(newer).state is C.PAUSED


def test_a_list_names_what_it_lacks() -> None:
    world, newer, known = two_campaigns()

    page = list_campaigns(world.campaigns, size=10)
    assert ([campaign.id for campaign in page.campaigns], page.unreadable) == ([known], [newer])
    with pytest.raises(UnreadableRow):
        world.act(newer, "pause")
    world.campaigns.newer.clear()
    assert len(list_campaigns(world.campaigns, size=10).campaigns) == 2
    assert world.campaign(newer).state is C.RUNNING


def test_reports_for_it_do_not_hold_back_those_for_others_and_wait_in_their_twins() -> None:
    plane = DataPlane([f"gw-{number}" for number in range(4)])
    other = CampaignId("other")
    plane.campaigns.create(replace(plane.campaign, id=other))
    events = [plane.says(name, "downloading", 1) for name in plane.names[:2]]
    events += [plane.says(name, "downloading", 1, campaign=other) for name in plane.names[2:]]
    plane.campaigns.newer.add(other)

    assert plane.relay(events) == 2
    assert {event.subject for event in plane.events.events} == {f"{CAMPAIGN}~00"}


def test_its_rows_are_left_to_the_newer_versions_sweep() -> None:
    plane = DataPlane(["gw-0"])
    plane.dispatch()
    plane.says("gw-0", "succeeded", 9)
    plane.campaigns.newer.add(CAMPAIGN)
    ports = ReconcilePorts(campaigns=plane.campaigns, twins=plane.hub, fold=plane.fold_ports())

    assert reconcile(ports, now=plane.now + timedelta(days=1)) == 0
    assert plane.row("gw-0").state is S.OFFERED
    plane.campaigns.newer.clear()
    assert reconcile(ports, now=plane.now + timedelta(days=1)) == 1
    assert plane.row("gw-0").state is S.SUCCEEDED


def test_a_withdrawn_package_pauses_all_others_where_only_a_wave_of_the_one_is_unreadable() -> None:
    """A listing reads no waves, so that it holds the campaign."""
    world, newer, known = two_campaigns()
    package = world.campaign(known).package
    world.campaigns.newer.clear()
    world.campaigns.newer_waves.add(newer)

    with pytest.raises(UnreadableRow, match=newer):
        pause_campaigns_of(package, "bad", world.ports, now=world.now)
    assert world.campaign(known).state is C.PAUSED


def test_a_pause_of_a_revert_reaches_all_its_campaigns_but_the_one_that_is_unreadable() -> None:
    world, campaign, child = reverting()
    stored = world.campaigns.get(campaign.id)
    order = stored.value.reversion
    assert order is not None
    assert child_id(campaign.id, "1.3.0") != child
    newer = replace(world.campaign(child), id=child_id(campaign.id, "1.3.0"))
    world.campaigns.create(newer)
    world.campaigns.newer.add(newer.id)
    with_newer = replace(order, pages={"1.3.0": 1, **order.pages})
    world.campaigns.save(replace(stored, value=replace(stored.value, reversion=with_newer)))

    world.act(campaign.id, "pause")
    world.run(lambda: world.campaign(child).state is C.PAUSED)
    assert world.campaign(campaign.id).has_untold_children

    world.campaigns.newer.clear()
    world.run(lambda: world.campaign(newer.id).state is C.PAUSED)
    world.run(lambda: not world.campaign(campaign.id).has_untold_children)
