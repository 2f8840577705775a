"""A batch with several packages in it: each device is offered its own, may fetch its own, and is judged by its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import NotFound
from shared.domain.ids import DeviceId
from shared.domain.offers import Intent, Offer
from shared.domain.packages import PackageState
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState
from shared.handlers.exchange_ticket import Gone, NotNow, Redirect, TicketDesk
from shared.handlers.meter_downloads import DownloadMeter
from shared.handlers.stop_fleet import StopWatch
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.trust.intents import check_claim, verify_intent
from shared.trust.merkle import ProofRefused
from shared.wire.twins import read_offer
from tests.app.test_retries import deliver_work
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import make_variant
from tests.support.memory_campaigns import MemoryStops, MemoryTraffic
from tests.support.memory_packages import MemoryLinks, settled
from tests.support.mortal import Died
from tests.support.rollouts import CAMPAIGN, NOON

S = RolloutState
A, B, UNUSED = make_variant("fw-a", "gw-1"), make_variant("fw-b", "gw-2", length_bytes=8192), make_variant("fw-c", "x")
HARDWARE = {"one": "gw-1", "two": "gw-2", "three": "gw-1", "four": "gw-2", "five": "gw-2"}
OF = {"gw-1": A, "gw-2": B}


def plane_of_two() -> DataPlane:
    return DataPlane(HARDWARE, packages=[A, B, UNUSED], hardware=HARDWARE)


def offer_to(plane: DataPlane, device: str) -> tuple[Offer, Intent]:
    offer = read_offer(DeviceId(device), plane.hub.desired[DeviceId(device)])
    assert offer is not None
    return offer, verify_intent(offer.envelope, [plane.keys.intents().public_key])


def desk(plane: DataPlane, *, bandwidth: int | None = None) -> TicketDesk:
    return TicketDesk(
        keys=plane.keys.tickets,
        campaigns=plane.campaigns,
        rollouts=plane.rollouts,
        packages=plane.packages,
        links=MemoryLinks(),
        link_lifetime=timedelta(minutes=10),
        stop=StopWatch(MemoryStops(), clock=lambda: 0.0),
        meter=DownloadMeter(MemoryTraffic(), fleet_bytes_per_s=bandwidth),
    )


def withdraw(plane: DataPlane, name: str) -> None:
    plane.packages.save(settled(plane.packages.get(name, "2.0.0"), PackageState.WITHDRAWN))


def edit_row(plane: DataPlane, device: str, **changes: Any) -> None:
    row = plane.rollouts.read_devices(CAMPAIGN, 0, [DeviceId(device)])[DeviceId(device)]
    plane.rollouts.write(CAMPAIGN, 0, [RolloutChange(before=row, after=replace(row.value, **changes))])


def test_each_device_is_offered_its_own_package_and_a_batch_is_signed_once_for_each_in_it() -> None:
    plane = plane_of_two()
    plane.dispatch()
    for device, hardware in HARDWARE.items():
        offer, intent = offer_to(plane, device)
        package = OF[hardware]
        assert (offer.path, intent.path, intent.sha256) == (package.path, package.path, package.sha256)
        assert intent.length_bytes == package.length_bytes
        check_claim(intent, device=DeviceId(device), sequence=offer.sequence, proof=offer.proof)
    assert len({offer_to(plane, device)[0].envelope for device in HARDWARE}) == 2


def test_an_intent_of_one_package_holds_no_device_of_another() -> None:
    """Whoever writes twins could otherwise turn it on them."""
    plane = plane_of_two()
    plane.dispatch()
    foreign, intent = offer_to(plane, "one")
    for device in ("two", "four", "five"):
        for proof in (foreign.proof, offer_to(plane, device)[0].proof):
            with pytest.raises(ProofRefused):
                check_claim(intent, device=DeviceId(device), sequence=1, proof=proof)


@pytest.mark.parametrize("at", range(12))
def test_a_death_while_a_mixed_batch_is_offered_changes_nothing_in_the_end(at: int) -> None:
    plane = plane_of_two()
    plane.life.left = at
    try:
        plane.dispatch()
    except Died:
        plane.life.left = None
        plane.dispatch()
    for device, hardware in HARDWARE.items():
        assert offer_to(plane, device)[1].path == OF[hardware].path
    assert {row.sent_at for row in plane.rows().values()} == {NOON}


def test_success_is_running_the_version_of_the_devices_own_package() -> None:
    plane = plane_of_two()
    plane.dispatch()
    plane.relay(
        [
            plane.says("one", "succeeded", 1, installed={"fw-a": "2.0.0", "fw-b": "1.0.0", "other": "1"}),
            plane.says("two", "succeeded", 1, installed={"fw-b": "2.0.0"}),
            plane.says("three", "succeeded", 1, installed={"fw-a": "1.0.0", "fw-b": "2.0.0"}),
            plane.says("four", "restarting", 1, installed={"fw-b": "1.5.0"}),
            plane.says("four", "succeeded", 2, installed={"fw-b": "2.0.0"}),
        ]
    )
    plane.fold()
    assert {device: plane.row(device).state for device in ("one", "two", "four")} == dict.fromkeys(
        ("one", "two", "four"), S.SUCCEEDED
    )
    assert (plane.row("three").state, plane.row("three").code) == (S.FAILED, "success_without_version")
    assert (plane.row("four").former_version, plane.row("four").installed_version) == ("1.5.0", "2.0.0")
    plane.visit()
    assert [plane.record(device).installed for device in ("one", "two")] == [{"fw-a": "2.0.0"}, {"fw-b": "2.0.0"}]
    plane.check_counters()


def test_a_device_that_goes_back_to_the_old_version_of_its_own_package_regresses() -> None:
    plane = plane_of_two()
    plane.dispatch()
    plane.relay([plane.says("two", "succeeded", 1, installed={"fw-b": "2.0.0"})])
    plane.relay([plane.says("two", "succeeded", 2, installed={"fw-a": "2.0.0", "fw-b": "1.0.0"})])
    plane.fold()
    assert plane.row("two").state is S.REGRESSED


def test_each_device_fetches_its_own_package_and_is_charged_its_length() -> None:
    plane = plane_of_two()
    plane.dispatch()
    tickets = desk(plane, bandwidth=8192)
    big, small = offer_to(plane, "two")[0], offer_to(plane, "one")[0]
    first = tickets.exchange_ticket(big.path, big.ticket, now=NOON)
    assert isinstance(first, Redirect)
    assert B.blob_name in first.url
    assert isinstance(tickets.exchange_ticket(small.path, small.ticket, now=NOON), NotNow)
    half = NOON + timedelta(seconds=1)
    second = tickets.exchange_ticket(small.path, small.ticket, now=half)
    assert isinstance(second, Redirect)
    assert A.blob_name in second.url


def test_the_package_that_was_not_withdrawn_may_still_be_fetched_by_who_has_an_offer() -> None:
    """Until the campaign is paused, which withdrawing any of its packages does."""
    plane = plane_of_two()
    plane.dispatch()
    withdraw(plane, "fw-b")
    one, two = offer_to(plane, "one")[0], offer_to(plane, "two")[0]
    assert isinstance(desk(plane).exchange_ticket(one.path, one.ticket, now=NOON), Redirect)
    gone = desk(plane).exchange_ticket(two.path, two.ticket, now=NOON)
    assert isinstance(gone, Gone)
    assert gone.code == "package_withdrawn"


@pytest.mark.parametrize("name", ["fw-a", "fw-b", "fw-c"])
def test_no_offer_goes_out_once_any_of_the_packages_is_withdrawn(name: str) -> None:
    plane = plane_of_two()
    withdraw(plane, name)
    plane.dispatch()
    assert not plane.hub.writes
    assert plane.states() == {S.PLANNED}


def test_a_row_whose_hardware_is_another_by_now_is_left_out() -> None:
    plane = plane_of_two()
    edit_row(plane, "one", hardware="gw-2")
    plane.dispatch()
    row = plane.row("one")
    assert (row.state, row.code, row.detail) == (S.SKIPPED, "no_package", "the package chosen for it is not for gw-2")
    assert plane.counters().of(S.OFFERED) == 4
    plane.check_counters()


def test_a_ticket_for_another_variant_is_refused() -> None:
    """The row says which one is the device's, whatever ticket somebody has made it keep."""
    plane = plane_of_two()
    plane.dispatch()
    offer = offer_to(plane, "one")[0]
    edit_row(plane, "one", variant=1)
    with pytest.raises(NotFound, match="to this device"):
        desk(plane).exchange_ticket(offer.path, offer.ticket, now=NOON)


def plane_that_retries() -> DataPlane:
    plane = plane_of_two()
    stored = plane.campaigns.get(CAMPAIGN)
    spec = replace(stored.value.spec, retries=Retries(maximum=1))
    plane.campaigns.save(Stored(value=plane.specs.sign(replace(stored.value, spec=spec)), etag=stored.etag))
    plane.dispatch()
    return plane


def fail_and_wait(plane: DataPlane, **said: Any) -> None:
    plane.relay([plane.says("two", "failed", 1, installed={"fw-b": "1.0.0"}, **said)])
    plane.fold()
    assert (plane.row("two").state, plane.row("two").attempt) == (S.PLANNED, 2)
    plane.pass_time(120)


def test_a_further_attempt_is_for_the_same_package() -> None:
    plane = plane_that_retries()
    fail_and_wait(plane, hardware="gw-2")
    deliver_work(plane)
    offer, intent = offer_to(plane, "two")
    assert (offer.attempt, offer.path, intent.path) == (2, B.path, B.path)
    assert plane.row("two").state is S.OFFERED


def test_a_device_that_turns_out_to_be_another_board_gets_no_further_attempt_and_its_failure_stands() -> None:
    plane = plane_that_retries()
    fail_and_wait(plane, hardware="gw-1")
    deliver_work(plane)
    row = plane.row("two")
    assert (row.state, row.code) == (S.FAILED, "health_check")
    assert "no_package" in row.detail
    assert plane.hub.writes[DeviceId("two")] == 1
    plane.check_counters()
