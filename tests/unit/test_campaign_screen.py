"""What the command line shows of a campaign of several packages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cli.campaign.screen import campaign_lines, stop_lines, summary_lines
from shared.domain.campaigns import Campaign
from shared.domain.hearsay import Hearsay, Named
from shared.domain.ids import DeviceId
from shared.wire.http_campaign_views import view_campaign, view_summary
from tests.support.made_campaigns import make_campaign, make_variant, with_packages


def mixed() -> Campaign:
    campaign = with_packages(make_campaign([]), [make_variant("fw-a", "gw-1", "gw-2"), make_variant("fw-b", "gw-3")])
    return replace(campaign, planning=replace(campaign.planning, by_variant=(1_200, 30), no_package=4))


def shown(campaign: Campaign) -> list[str]:
    document: dict[str, Any] = view_campaign(campaign, {}, {}).model_dump(mode="json")
    return list(campaign_lines(document))


def test_it_says_whom_each_package_is_for() -> None:
    assert shown(mixed())[1:4] == [
        "  fw-a 2.0.0 for gw-1, gw-2: 1,200 devices",
        "  fw-b 2.0.0 for gw-3: 30 devices",
        "  none of them is for 4 devices",
    ]


def test_of_one_package_it_says_nothing_more() -> None:
    assert not [line for line in shown(make_campaign([])) if "none of them" in line]


def test_it_says_whom_nobody_had_heard_of() -> None:
    campaign = make_campaign([])
    many = Named(count=11, first=tuple(DeviceId(f"gw-{number}") for number in range(10)))
    heard = Hearsay(looked_at=30, unheard=Named(count=2, first=(DeviceId("gw-1"), DeviceId("gw-2"))), gone=many)
    lines = shown(replace(campaign, planning=replace(campaign.planning, heard=heard)))
    assert "  when it was planned: nobody has heard of 2 devices: gw-1, gw-2" in lines
    assert "  when it was planned: IoT Hub said that it has no more 11 devices" in lines
    assert not [line for line in shown(campaign) if "when it was planned" in line]


def test_a_list_tells_that_there_are_more() -> None:
    campaigns = [view_summary(campaign).model_dump(mode="json") for campaign in (mixed(), make_campaign([]))]
    lines = "\n".join(summary_lines(campaigns))
    assert "fw-a 2.0.0 and 1 more" in lines
    assert "gateway.firmware 2.0.0 " in lines


def test_above_a_list_stands_that_the_fleet_is_stopped() -> None:
    stopped = {"stopped": True, "stopped_at": "2026-01-05T12:00:00Z", "stopped_by": "ada", "reason": "it bricks pumps"}
    assert list(stop_lines(stopped)) == [
        "the whole fleet is stopped since 2026-01-05T12:00:00Z by ada: it bricks pumps"
    ]
    assert list(stop_lines(stopped | {"stopped": False})) == []
