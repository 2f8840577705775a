"""Attacks by whoever holds the hub's key: any twin can be written, and any old offer kept and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from shared.domain.ids import CampaignId, DeviceId, PackagePath
from shared.domain.windows import Window
from shared.trust.intents import batch_leaves, batch_root, sign_intent
from shared.trust.merkle import merkle_proof
from tests.support.agent import DEVICE, Bench, Factory, MovedClock, make_intent
from tests.support.agent_service import new_signer
from tests.support.attacks import Victim

HOUR = timedelta(hours=1)


def test_arbitrary_package(bench: Bench, factory: Factory) -> None:
    """An offer of something the index has never heard of, under a genuine-looking intent by a stranger's key."""
    victim = Victim(bench)
    victim.update("1.1.0")
    evil = factory.make_firmware("6.6.6", b"evil")
    factory.service.contents[evil.path] = b"evil"
    genuine = factory.index.intent_signer
    factory.index.intent_signer = new_signer()
    bench.hub.put(factory.offer(evil, 2))
    victim.resists(("rejected", "intent_refused"), running="1.1.0")

    factory.index.intent_signer = genuine
    bench.hub.put(factory.offer(evil, 2))
    victim.resists(("rejected", "not_in_index"), running="1.1.0")


def test_arbitrary_content(bench: Bench, factory: Factory) -> None:
    """A thief of the storage account changes the bytes of a published package."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    factory.service.contents[package.path] = b"image 6.6.6"
    bench.hub.put(factory.offer(package, 2))

    victim.resists(("failed", "digest_mismatch"), running="1.1.0")


def test_rollback_of_package(bench: Bench, factory: Factory) -> None:
    """A genuine older version with a hole in it, under an intent that does not allow to go back."""
    old = factory.firmware("1.0.5", b"image with a hole")
    victim = Victim(bench)
    victim.update("1.1.0")
    bench.hub.put(factory.offer(old, 2))
    victim.resists(("rejected", "downgrade_refused"), running="1.1.0")

    bench.hub.put(factory.offer(old, 3, allow_downgrade=True))
    assert victim.outcome() == ("succeeded", "")


def test_genuine_package_passed_off_as_a_newer_one(bench: Bench, factory: Factory) -> None:
    """Whoever holds the bins' key writes a high version over the bytes of an old one; the publisher signed the old."""
    old = factory.firmware("1.0.5", b"image with a hole")
    victim = Victim(bench)
    victim.update("1.1.0")
    relabelled = replace(factory.make_firmware("9.9.9", b"image with a hole"), publisher=old.publisher)
    factory.publish(relabelled, b"image with a hole")
    bench.hub.put(factory.offer(relabelled, 2))

    victim.resists(("rejected", "publisher_refused"), running="1.1.0")


def test_wrong_hardware(bench: Bench, factory: Factory) -> None:
    """A genuine offer of a genuine package that is for other boards."""
    victim = Victim(bench)
    victim.update("1.1.0")
    bench.properties = {"hardware": "rev-c"}
    bench.hub.put(factory.offer(factory.firmware("1.2.0", b"for rev-b"), 2))

    victim.resists(("rejected", "incompatible"), running="1.1.0")


def test_wrong_device(bench: Bench, factory: Factory) -> None:
    """An offer made to another device, copied into this one's twin."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    other = factory.offer(package, 2, device=DeviceId("dev-2"))
    bench.hub.put(replace(other, device=DEVICE))

    victim.resists(("rejected", "proof_refused"), running="1.1.0")


def test_replayed_intent_of_an_earlier_sequence(bench: Bench, factory: Factory) -> None:
    """An offer that was genuine once, kept and written again after the device had moved on."""
    package = factory.firmware("1.0.1", b"image 1.0.1")
    kept = factory.offer(package, 1, allow_downgrade=True)
    bench.hub.put(kept)
    victim = Victim(bench)
    assert victim.outcome() == ("succeeded", "")
    victim.sequence = 1
    victim.update("1.1.0")
    told = len(bench.hub.reports)

    bench.hub.put(kept)
    bench.run_once()
    assert len(bench.hub.reports) == told
    assert bench.runs == {"engine": "1.1.0"}

    bench.hub.put(replace(kept, sequence=3))
    victim.resists(("rejected", "proof_refused"), running="1.1.0")


@pytest.mark.parametrize(
    "change",
    [
        {"campaign": CampaignId("camp-2")},
        {"path": PackagePath("engine/1.1.0/engine-1.1.0.img")},
        {"proof": "0.1"},
        {"envelope": "{}"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_genuine_offer_with_one_part_changed(bench: Bench, factory: Factory, change: dict[str, object]) -> None:
    victim = Victim(bench)
    victim.update("1.1.0")
    offer = factory.offer(factory.firmware("1.2.0", b"image 1.2.0"), 2)
    bench.hub.put(replace(offer, **change))  # type: ignore[arg-type]
    outcome = victim.outcome()
    assert outcome[0] == "rejected"
    assert bench.runs == {"engine": "1.1.0"}

    bench.hub.put(offer)
    assert victim.outcome() == ("succeeded", "")


@pytest.mark.parametrize(
    "change",
    [{"version": "9.9.9"}, {"sha256": "00" * 32}, {"length_bytes": 1}, {"kind": "deb"}, {"name": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_intent_that_contradicts_the_index(bench: Bench, factory: Factory, change: dict[str, object]) -> None:
    """Whoever holds the intents' key cannot say of a package what its publisher and the index do not."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    bench.hub.put(factory.offer(package, 2, **change))

    victim.resists(("rejected", "intent_mismatch"), running="1.1.0")


def test_late_dispatcher(bench: Bench, factory: Factory) -> None:
    """A dispatcher that hung for hours writes its old offer over the newer one."""
    victim = Victim(bench)
    first = factory.offer(factory.firmware("1.1.0", b"image 1.1.0"), 1)
    second = factory.offer(factory.firmware("1.2.0", b"image 1.2.0"), 2)
    bench.hub.put(second)
    assert victim.outcome() == ("succeeded", "")

    bench.hub.put(first)
    bench.run_once()
    assert bench.runs == {"engine": "1.2.0"}


def test_intent_used_outside_its_window(bench: Bench, factory: Factory) -> None:
    """The device keeps the window itself: whoever writes twins cannot open it."""
    victim = Victim(bench)
    victim.update("1.1.0")
    now = datetime.now(UTC)
    closed = Window(days=((now + timedelta(days=2)).isoweekday(),), start=time(1), end=time(2), zone="UTC")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    bench.hub.put(factory.offer(package, 2, windows=(closed,)))
    victim.resists(("rejected", "intent_expired"), running="1.1.0")

    # The same offer, in force for long enough, is taken once its window opens.
    bench.hub.put(factory.offer(package, 3, windows=(closed,), expires=now + timedelta(days=9)))
    opens = datetime.combine((now + timedelta(days=2)).date(), time(1, 30), UTC)
    factory.index.expires = factory.index.expires + timedelta(days=9)
    factory.index.sign_root()
    factory.index.publish()
    bench.clock = MovedClock(opens - now)
    assert victim.outcome() == ("succeeded", "")


def test_package_withdrawn_while_it_waits_on_the_device(bench: Bench, factory: Factory) -> None:
    """Killed in the middle of an install, the device comes back to find that the package was withdrawn meanwhile."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    bench.points.fatal = bench.points.passed + _points_until_install(bench)
    bench.on_kill = lambda: factory.index.withdraw(package)
    bench.hub.put(factory.offer(package, 2))

    victim.resists(("rejected", "not_in_index"), running="1.1.0")
    assert bench.kills == 1


def _points_until_install(bench: Bench) -> int:
    """Crash points that the first update passed until its slot was being copied."""
    return bench.points.names.index("before copy_active") + 1


def test_withdrawn_package_whose_index_cannot_be_reached_stands_until_its_intent_ends(
    bench: Bench, factory: Factory
) -> None:
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    bench.points.fatal = bench.points.passed + _points_until_install(bench)
    bench.on_kill = factory.index.files.clear
    bench.hub.put(factory.offer(package, 2))

    assert victim.outcome() == ("succeeded", "")
    assert bench.runs == {"engine": "1.2.0"}


def test_envelope_signed_for_another_purpose(bench: Bench, factory: Factory) -> None:
    """A statement of another type, genuinely signed with the intents' key, is no intent."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    claims = [(DEVICE, 2)]
    envelope = json.loads(sign_intent(make_intent(package, claims), factory.index.intent_signer))
    envelope["payloadType"] = "application/vnd.groundswell.artifact.v1+json"
    proof = merkle_proof(batch_leaves(claims), 0)
    assert batch_root(claims)
    bench.hub.put(replace(factory.offer(package, 2), envelope=json.dumps(envelope), proof=proof))

    victim.resists(("rejected", "intent_refused"), running="1.1.0")


def test_intent_for_another_kind_of_board(bench: Bench, factory: Factory) -> None:
    """Of one campaign with packages for two kinds of boards, both intents genuine, the wrong one is written."""
    victim = Victim(bench)
    victim.update("1.1.0")
    other = replace(factory.make_firmware("1.2.0", b"for rev-c"), compatibility={"hardware": ("rev-c",)})
    factory.publish(other, b"for rev-c")
    mine = factory.firmware("1.3.0", b"for rev-b")

    stolen = factory.offer(other, 2, device=DeviceId("of the other kind"))
    bench.hub.put(replace(stolen, device=DEVICE))
    victim.resists(("rejected", "proof_refused"), running="1.1.0")

    bench.hub.put(factory.offer(other, 2))
    victim.resists(("rejected", "incompatible"), running="1.1.0")

    bench.hub.put(factory.offer(mine, 3))
    assert victim.outcome() == ("succeeded", "")
