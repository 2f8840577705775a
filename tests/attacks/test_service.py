"""Attacks on the service's tables and queues, by whoever holds the storage account."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaign_specs import Deadlines, DeviceQuery
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.gates import Gate
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.packages import PackageState, RegisteredPackage
from shared.domain.rollouts import PackageTarget, RolloutState
from shared.domain.steps_by_operators import OperatorAction
from shared.domain.waves import Rest, WaveSpec
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.trust.signers import KeyRole
from shared.wire.alerts import ALERT
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_wave_row
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import make_variant
from tests.support.repository import new_package
from tests.support.rollouts import CAMPAIGN, NOON

type Edit = Callable[[Campaign], Campaign]

OPEN_GATE = Gate(success_percent=0, failure_percent=None, silent_percent=None)


def _edit_spec(**changes: object) -> Edit:
    return lambda campaign: replace(campaign, spec=replace(campaign.spec, **changes))  # type: ignore[arg-type]


def _edit_gates(campaign: Campaign) -> Campaign:
    waves = [replace(wave, spec=replace(wave.spec, gate=OPEN_GATE)) for wave in campaign.waves]
    return replace(campaign, waves=tuple(waves))


EDITS: dict[str, Edit] = {
    "package": lambda campaign: replace(campaign, package=new_package("evil-fw", "6.6.6")),
    "digest": lambda campaign: replace(campaign, package=replace(campaign.package, sha256="66" * 32)),
    "target": _edit_spec(package=PackageTarget(name="evil-fw", version="6.6.6")),
    "downgrade": _edit_spec(allow_downgrade=True),
    "windows": _edit_spec(windows=()),
    "deadlines": _edit_spec(deadlines=Deadlines(offered_s=9e6)),
    "targets": _edit_spec(targets=DeviceQuery(query="SELECT * FROM devices")),
    "waves": _edit_spec(waves=(WaveSpec(name="everybody at once", size=Rest(), gate=OPEN_GATE),)),
    "gates of the wave rows": _edit_gates,
    "who asked": lambda campaign: replace(campaign, requested_by="somebody else"),
    "signature": lambda campaign: replace(campaign, spec_signature=""),
    "signature of nothing": lambda campaign: replace(campaign, spec_signature=json.dumps({"keyid": "x", "sig": "y"})),
}


def _stored_as(campaign: Campaign) -> Campaign:
    """The campaign as the table gives it back."""
    return read_campaign(write_campaign_row(campaign), [write_wave_row(campaign, wave) for wave in campaign.waves])


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_campaign_row(edit: Edit) -> None:
    """The row of a genuine campaign is changed in the table: no intent is signed for it."""
    plane = DataPlane(["gw-0", "gw-1"])
    genuine = plane.campaigns.get(CAMPAIGN)
    plane.campaigns.save(Stored(value=_stored_as(edit(genuine.value)), etag=genuine.etag))
    plane.packages.create(
        RegisteredPackage(package=new_package("evil-fw", "6.6.6"), state=PackageState.PUBLISHED, accepted_at=NOON)
    )

    plane.dispatch()
    assert not plane.hub.writes
    assert plane.states() == {RolloutState.PLANNED}
    assert plane.untrusted == [CAMPAIGN]

    edited = plane.campaigns.get(CAMPAIGN)
    plane.campaigns.save(Stored(value=_stored_as(genuine.value), etag=edited.etag))
    plane.dispatch()
    assert plane.states() == {RolloutState.OFFERED}


TWO_KINDS = [make_variant("fw-a", "gw-1"), make_variant("fw-b", "gw-2")]


@pytest.mark.parametrize(
    "edit",
    [
        lambda campaign: replace(campaign, other_packages=(make_variant("fw-b", "gw-1", "gw-2"),)),
        lambda campaign: replace(campaign, other_packages=()),
        lambda campaign: replace(campaign, package=TWO_KINDS[1], other_packages=(TWO_KINDS[0],)),
        _edit_spec(other_packages=()),
        _edit_spec(other_packages=(PackageTarget(name="evil-fw", version="6.6.6"),)),
    ],
)
def test_edited_packages_of_several(edit: Edit) -> None:
    """Which packages a campaign has, in which order, and which hardware each is for, is under its signature."""
    plane = DataPlane(["one", "two"], packages=TWO_KINDS, hardware={"one": "gw-1", "two": "gw-2"})
    genuine = plane.campaigns.get(CAMPAIGN)
    plane.campaigns.save(Stored(value=_stored_as(edit(genuine.value)), etag=genuine.etag))

    plane.dispatch()
    assert not plane.hub.writes
    assert plane.untrusted == [CAMPAIGN]


@pytest.mark.parametrize("variant", [1, -1, 7])
def test_rollout_row_that_names_another_package(variant: int) -> None:
    """A thief of the table turns a device's row to a package for other boards: no intent for it names the device.

    Where the row's hardware is edited with it, the device refuses (``test_intent_for_another_kind_of_board``).
    """
    plane = DataPlane(["one", "two"], packages=TWO_KINDS, hardware={"one": "gw-1", "two": "gw-2"})
    device = DeviceId("one")
    row = plane.rollouts.read_devices(CAMPAIGN, 0, [device])[device]
    plane.rollouts.write(CAMPAIGN, 0, [RolloutChange(before=row, after=replace(row.value, variant=variant))])

    plane.dispatch()
    assert not plane.hub.writes[device]
    assert (plane.row("one").state, plane.row("one").code) == (RolloutState.SKIPPED, "no_package")
    assert plane.row("two").state is RolloutState.OFFERED


def test_edited_row_starts_nothing_and_people_are_told() -> None:
    """The same while a campaign is planned and while it runs: it is paused, and nobody can resume it."""
    world = CampaignWorld(fleet(20), outcome=lambda _device: None)
    campaign = world.post(waves=[{"count": 2}, {"rest": True}])
    world.run()
    running = world.campaigns.get(campaign.id)
    assert running.value.state is CampaignState.RUNNING
    offered = len(world.rollouts.rows(campaign.id))

    world.campaigns.save(Stored(value=EDITS["downgrade"](running.value), etag=running.etag))
    world.now += timedelta(minutes=5)
    world.run()

    stopped = world.campaign(campaign.id)
    assert stopped.state is CampaignState.PAUSED
    assert "not the one that was signed" in stopped.reason
    alerts = [event for event in world.events.events if event.type == ALERT]
    assert {json.loads(event.data)["code"] for event in alerts} == {"spec_untrusted"}
    with pytest.raises(Conflict, match="cannot go on"):
        world.act(campaign.id, OperatorAction.RESUME)
    assert len(world.rollouts.rows(campaign.id)) == offered
    world.act(campaign.id, OperatorAction.CANCEL)


def test_campaign_row_copied_to_another_id() -> None:
    """An old campaign's row, genuine in every part, is written under a new id to run once more."""
    plane = DataPlane(["gw-0"])
    plane.specs.check(plane.campaign)
    with pytest.raises(Exception, match="not the one that was signed"):
        plane.specs.check(replace(plane.campaign, id=CampaignId("another-one")))


def test_campaign_signed_by_a_revoked_key() -> None:
    """The key that signs specifications was stolen and disabled: what the thief signed with it starts nothing."""
    world = CampaignWorld(fleet(5))
    stolen = world.keys.signers[KeyRole.SPECS][0]
    world.keys.add(KeyRole.SPECS)
    campaign = world.post()
    world.ports.specs.check(campaign)

    world.keys.signers[KeyRole.SPECS].remove(stolen)
    world.ports.specs.check(campaign)
    world.keys.signers[KeyRole.SPECS] = [stolen]
    with pytest.raises(Exception, match="not the one that was signed"):
        world.ports.specs.check(campaign)
