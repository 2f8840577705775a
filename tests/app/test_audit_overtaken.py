"""Two decide at the same moment, and one of them comes second: the audit log says which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cli.audit import _describe
from shared.domain.audit import GATE, OVERTAKEN, SERVICE
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.rollouts import RolloutState
from shared.ports.errors import ConcurrentChange, Unavailable
from shared.ports.stored import Stored
from tests.support.campaign_world import CampaignWorld, fleet

S, C = RolloutState, CampaignState


def stopped_while(meanwhile: Callable[[CampaignWorld, Campaign], object]) -> tuple[CampaignWorld, Campaign]:
    """A campaign whose gate wants to stop it, and what happens between its reading the row and its writing it."""
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED)
    campaign = world.post()
    save = world.campaigns.save

    def racing(stored: Stored[Campaign]) -> Stored[Campaign]:
        if stored.value.state is C.PAUSED and "gate" in stored.value.reason:
            world.campaigns.save = save  # type: ignore[method-assign]
            meanwhile(world, campaign)
        return save(stored)

    world.campaigns.save = racing  # type: ignore[method-assign]
    world.run_until(campaign.id, C.PAUSED)
    world.run(hours=0.2)
    return world, campaign


def deeds(world: CampaignWorld, campaign: Campaign) -> list[tuple[str, str]]:
    return [(entry.what, entry.who) for entry in world.audit.read(campaign.id)]


def test_a_stop_that_came_second_to_an_operator_is_told_of_as_not_done() -> None:
    world, campaign = stopped_while(lambda world, campaign: world.act(campaign.id, "pause"))
    assert world.campaign(campaign.id).reason == "paused by grace"
    assert deeds(world, campaign)[-3:] == [("stop", GATE), ("pause", "grace"), (OVERTAKEN, SERVICE)]
    checked = world.check_audit(campaign.id)
    assert [checked.records[number - 1].entry.what for number in checked.overtaken] == ["stop"]
    assert "was decided and not done, because another step came first: stop by gate" in "\n".join(_describe(checked))


def test_a_stop_that_is_decided_anew_counts() -> None:
    """The operator's action left the campaign running: the gate stops it with the next step."""
    world, campaign = stopped_while(lambda world, campaign: world.act(campaign.id, "retry-failed"))
    assert "the gate" in world.campaign(campaign.id).reason
    assert [what for what, _who in deeds(world, campaign)].count("stop") == 2
    checked = world.check_audit(campaign.id)
    first, second = (record for record in checked.records if record.entry.what == "stop")
    assert list(checked.overtaken) == [first.number]
    assert second.entry.step > first.entry.step


def test_an_action_that_a_step_came_before_is_done_with_the_next_one() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = world.post()
    world.run_until(campaign.id, C.RUNNING)
    save = world.campaigns.save

    def racing(stored: Stored[Campaign]) -> Stored[Campaign]:
        world.campaigns.save = save  # type: ignore[method-assign]
        world.act(campaign.id, "pause", who="ada")
        return save(stored)

    world.campaigns.save = racing  # type: ignore[method-assign]
    assert world.act(campaign.id, "cancel").state is C.ABORTED
    assert deeds(world, campaign)[-4:] == [
        ("cancel", "grace"),
        ("pause", "ada"),
        (OVERTAKEN, SERVICE),
        ("cancel", "grace"),
    ]
    checked = world.check_audit(campaign.id)
    assert len(checked.overtaken) == 1


def test_a_write_whose_answer_was_lost_was_not_overtaken() -> None:
    """The SDK tries it again, and the store refuses it because of itself."""
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = world.post()
    world.run_until(campaign.id, C.RUNNING)
    save = world.campaigns.save

    def losing(stored: Stored[Campaign]) -> Any:
        world.campaigns.save = save  # type: ignore[method-assign]
        save(stored)
        raise ConcurrentChange("its etag is another one now")

    world.campaigns.save = losing  # type: ignore[method-assign]
    assert world.act(campaign.id, "pause").state is C.PAUSED
    assert OVERTAKEN not in {what for what, _who in deeds(world, campaign)}


@pytest.mark.parametrize("action", ["pause", "cancel", "retry-failed", "revert"])
def test_the_same_action_twice_at_the_same_moment_was_done(action: str) -> None:
    """A double click: one of the two comes second, and finds done what it was to do."""
    world = CampaignWorld(fleet(30), outcome=lambda device: S.FAILED if device == "a#1" else None)
    campaign = world.post(gate={"failure_count": 2})
    world.run_until(campaign.id, C.RUNNING)
    world.run(hours=0.2)
    save = world.campaigns.save

    def racing(stored: Stored[Campaign]) -> Stored[Campaign]:
        world.campaigns.save = save  # type: ignore[method-assign]
        world.now += timedelta(seconds=2)
        world.act(campaign.id, action)
        return save(stored)

    world.campaigns.save = racing  # type: ignore[method-assign]
    world.act(campaign.id, action)
    assert [deed for deed in deeds(world, campaign) if deed[1] != "ada"] == [(action, "grace")]
    assert not world.check_audit(campaign.id).overtaken


def test_an_audit_log_that_is_down_then_keeps_nobody_from_acting() -> None:
    world, campaign = stopped_while(_pause_and_lose_the_log)
    assert world.campaign(campaign.id).reason == "paused by grace"


def _pause_and_lose_the_log(world: CampaignWorld, campaign: Campaign) -> None:
    world.act(campaign.id, "pause")
    create = world.audit_records.create

    def down(_record: Any) -> None:
        world.audit_records.create = create  # type: ignore[method-assign]
        raise Unavailable("the table audit")

    world.audit_records.create = down  # type: ignore[method-assign]
