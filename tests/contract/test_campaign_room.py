"""What outgrows the row of a campaign is refused with a reason, before anything is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.adapters.azure_campaigns import AzureCampaigns
from shared.domain.campaigns import CampaignState
from shared.domain.hub_queries import narrow_query
from shared.wire.http_fields import InvalidRequest
from tests.app.test_edit_waves import edit, is_moved, paused
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.tables import new_table

QUERY = "SELECT * FROM devices"
LONG = "tags.site IN [" + ",".join(f"'{'x' * 20}{number}'" for number in range(35)) + "]"


@pytest.fixture
def world(storage_connection: str) -> Iterator[CampaignWorld]:
    with new_table(storage_connection, "campaigns") as table:
        yield CampaignWorld(fleet(200), stores={"campaigns": AzureCampaigns(table)})


def filters(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"filter": LONG.replace("site", f"site{number}")} for number in range(first, first + count)]


def answered(world: CampaignWorld, waves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for place, wave in enumerate(waves):
        world.directory.answers[narrow_query(QUERY, wave["filter"])] = fleet(200)[7 * place : 7 * place + 7]
    return waves


def test_a_campaign_that_its_row_has_no_room_for_is_refused_and_the_largest_is_kept(world: CampaignWorld) -> None:
    with pytest.raises(InvalidRequest, match=r"waves: .* hold \d+ characters, at most 30000"):
        world.post(waves=[*filters(45), {"rest": True}])
    assert not world.campaigns_known()
    posted = world.post(waves=[*answered(world, filters(23)), {"rest": True}])
    assert world.run_until(posted.id, CampaignState.COMPLETED).targets == 200


def test_an_edit_that_its_row_has_no_room_for_is_refused(world: CampaignWorld) -> None:
    """The edit that waits for its filters names each of them twice."""
    campaign = paused(world, targets={"query": QUERY})
    asked = answered(world, filters(20))
    with pytest.raises(InvalidRequest, match="at most 30000"):
        edit(world, campaign.id, [*asked, {"rest": True}])
    edit(world, campaign.id, [*asked[:10], {"rest": True}])
    world.run(lambda: is_moved(world, campaign.id))
    assert len(world.campaign(campaign.id).waves) == 12
