"""Taking artifacts in (invariant I1): once however often the event comes, and lost nowhere."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.domain.artifacts.refusals import Refusal
from shared.domain.packages import PackageState
from shared.handlers.index_requests import resume_publishing
from shared.handlers.ingest_package import Intake, IntakeOutcome, PackageIntake
from shared.handlers.quarantine_artifact import NOTE_SUFFIX
from shared.ports.bus import Queue
from shared.wire.messages import read_index_request
from tests.support.artifacts import debian_package, mcuboot_image, uimage
from tests.support.deaths import Writes, every_death
from tests.support.memory_packages import NOON, MemoryArtifacts, MemoryPackages, MemorySender, settled
from tests.support.repository import unsigned_allowed

PATH = "gateway-fw/1.2.3/image.bin"
DESCRIPTION = json.dumps({"name": "described-fw", "compatibility": {"hardware": ["mk2"]}}).encode()


class World:
    """Everything intake touches."""

    def __init__(self, writes: Writes | None = None) -> None:
        self.store, self.packages, self.sender = MemoryArtifacts(), MemoryPackages(), MemorySender()
        self.writes = writes or Writes()

    def ingest(self, name: str = PATH, *, writes: Writes | None = None) -> Intake:
        through = (writes or self.writes).through
        intake = PackageIntake(
            store=through(self.store),
            packages=through(self.packages),
            sender=through(self.sender),
            authorities=unsigned_allowed,
        )
        return intake.ingest_package(name, now=NOON)

    def requested(self) -> set[tuple[str, str]]:
        assert {queue for queue, _ in self.sender.sent} <= {Queue.INDEX_REQUESTS}
        requests = [read_index_request(message.body) for _, message in self.sender.sent]
        return {(request.name, request.version) for request in requests}

    def note(self) -> dict[str, str]:
        (name,) = (name for name in self.store.quarantine if name.endswith(NOTE_SUFFIX))
        document: dict[str, str] = json.loads(self.store.quarantine[name].content)
        return document

    def publish(self, name: str, version: str) -> None:
        self.packages.save(settled(self.packages.get(name, version), PackageState.PUBLISHED))


def _assert_taken_in(world: World, content: bytes) -> None:
    (row,) = world.packages.rows.values()
    package = row.value.package
    assert (package.name, package.version.text) == ("gateway-fw", "1.2.3")
    assert {name: blob.content for name, blob in world.store.packages.items()} == {package.blob_name: content}
    assert world.store.incoming == {}
    assert world.requested() == {("gateway-fw", "1.2.3")}


def test_artifact_becomes_a_package() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    intake = world.ingest()
    assert intake.outcome is IntakeOutcome.ACCEPTED
    _assert_taken_in(world, mcuboot_image())
    assert world.writes.log == ["copy_to_packages", "create", "send", "delete_incoming"]


def test_event_that_comes_again_changes_nothing() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    world.ingest()
    assert world.ingest().outcome is IntakeOutcome.GONE
    _assert_taken_in(world, mcuboot_image())


def test_same_bytes_again_make_no_new_package_but_ask_again() -> None:
    world = World()
    for _ in range(2):
        world.store.drop(PATH, mcuboot_image())
        world.ingest()
    _assert_taken_in(world, mcuboot_image())
    (first, second) = (message.message_id for _, message in world.sender.sent)
    assert first == second


def test_same_bytes_of_a_published_package_are_taken_off_quietly() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    world.ingest()
    world.publish("gateway-fw", "1.2.3")
    world.store.drop(PATH, mcuboot_image())
    assert world.ingest().outcome is IntakeOutcome.ALREADY_PUBLISHED
    assert len(world.sender.sent) == 1
    assert world.store.incoming == {}


@pytest.mark.parametrize("state", [PackageState.ACCEPTED, PackageState.PUBLISHED, PackageState.REFUSED])
def test_other_bytes_under_a_taken_version_are_quarantined(state: PackageState) -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    world.ingest()
    world.packages.save(settled(world.packages.get("gateway-fw", "1.2.3"), state))
    row = world.packages.get("gateway-fw", "1.2.3")
    world.store.drop(PATH, mcuboot_image("1.2.3", 30_000))
    intake = world.ingest()
    assert (intake.outcome, intake.code) == (IntakeOutcome.QUARANTINED, Refusal.VERSION_TAKEN)
    assert world.packages.get("gateway-fw", "1.2.3") == row
    assert list(world.store.packages) == [row.value.package.blob_name]


def test_refused_artifact_lies_in_quarantine_with_a_reason_to_act_on() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image()[:9_000], at=NOON - timedelta(minutes=1))
    intake = world.ingest()
    assert intake.code == Refusal.TRUNCATED
    quarantined = world.store.quarantine[intake.quarantine_name]
    assert quarantined.content == mcuboot_image()[:9_000]
    assert quarantined.metadata == {"code": "truncated", "reason": intake.reason}
    note = world.note()
    assert (note["code"], note["reason"], note["artifact"]) == ("truncated", intake.reason, PATH)
    assert note["advice"] == Refusal.TRUNCATED.advice
    assert world.store.incoming == {}
    assert world.packages.rows == {}


def test_two_refused_artifacts_of_one_path_both_stay() -> None:
    world = World()
    for content in (b"", b"junk"):
        world.store.drop(PATH, content)
        world.ingest()
    contents = [blob.content for name, blob in world.store.quarantine.items() if not name.endswith(NOTE_SUFFIX)]
    assert contents == [b"", b"junk"]


def test_reason_with_odd_characters_fits_into_metadata() -> None:
    world = World()
    world.store.drop("x.bin", uimage("ü"), {"name": "größe", "version": "1"})
    intake = world.ingest("x.bin")
    assert intake.code == Refusal.NAME_INVALID
    assert world.store.quarantine[intake.quarantine_name].metadata["reason"].isascii()


def test_description_beside_it_is_read_and_goes_with_it() -> None:
    world = World()
    world.store.drop("a/b/image.bin.package.json", DESCRIPTION)
    world.store.drop("a/b/image.bin", mcuboot_image())
    intake = world.ingest("a/b/image.bin")
    assert intake.package is not None
    assert (intake.package.name, intake.package.version.text) == ("described-fw", "1.2.3")
    assert intake.package.compatibility == {"hardware": ("mk2",)}
    assert world.store.incoming == {}


def test_description_of_a_refused_artifact_goes_with_it_too() -> None:
    world = World()
    world.store.drop("image.bin.package.json", DESCRIPTION)
    world.store.drop("image.bin", b"junk")
    intake = world.ingest("image.bin")
    assert intake.code == Refusal.UNKNOWN_KIND
    assert world.store.quarantine[f"{intake.quarantine_name}.package.json"].content == DESCRIPTION
    assert world.store.incoming == {}


def test_description_alone_waits() -> None:
    world = World()
    world.store.drop("image.bin.package.json", DESCRIPTION)
    assert world.ingest("image.bin.package.json").outcome is IntakeOutcome.SIDECAR
    assert list(world.store.incoming) == ["image.bin.package.json"]


def test_huge_description_is_refused_without_reading_it() -> None:
    world = World()
    world.store.drop("image.bin.package.json", b" " * 70_000)
    world.store.drop("image.bin", mcuboot_image())
    assert world.ingest("image.bin").code == Refusal.BAD_DESCRIPTION


def test_nothing_there_is_done_quietly() -> None:
    assert World().ingest().outcome is IntakeOutcome.GONE


def test_artifact_replaced_while_it_is_read_is_left_to_its_own_event() -> None:
    def replaces(number: int) -> None:
        if number == 0:
            world.store.drop(PATH, b"other")

    world = World()
    world.store.drop(PATH, mcuboot_image())
    assert world.ingest(writes=Writes(before=replaces)).outcome is IntakeOutcome.GONE
    assert world.store.incoming[PATH].content == b"other"
    assert world.packages.rows == {}


def test_dying_at_any_write_loses_nothing_once_the_event_comes_again() -> None:
    world = World()

    def run(writes: Writes) -> None:
        nonlocal world
        world = World(writes)
        world.store.drop(PATH, mcuboot_image())
        world.ingest()

    deaths = 0
    for _ in every_death(run):
        world.ingest(writes=Writes())
        _assert_taken_in(world, mcuboot_image())
        deaths += 1
    assert deaths == 8


def test_dying_after_the_claim_is_mended_by_the_minute_even_if_no_event_comes_again() -> None:
    world = World()

    def run(writes: Writes) -> None:
        nonlocal world
        world = World(writes)
        world.store.drop(PATH, mcuboot_image())
        world.ingest()

    for _ in every_death(run):
        resume_publishing(world.packages, world.sender, now=NOON + timedelta(minutes=3))
        is_kept = PATH in world.store.incoming or ("gateway-fw", "1.2.3") in world.requested()
        assert is_kept
        for row in world.packages.rows.values():
            assert row.value.package.blob_name in world.store.packages


def test_dying_at_any_write_of_a_quarantine_loses_nothing() -> None:
    world = World()

    def run(writes: Writes) -> None:
        nonlocal world
        world = World(writes)
        world.store.drop(PATH + ".package.json", DESCRIPTION)
        world.store.drop(PATH, b"junk")
        world.ingest()

    for death in every_death(run):
        world.ingest(writes=Writes())
        kept = [blob.content for blob in (*world.store.quarantine.values(), *world.store.incoming.values())]
        assert b"junk" in kept, death
        assert DESCRIPTION in kept, death
        assert PATH not in world.store.incoming, death
        assert world.note()["code"] == Refusal.UNKNOWN_KIND


def test_two_artifacts_that_race_for_one_version_end_as_package_and_quarantine() -> None:
    world = World()
    other = "gateway-fw/1.2.3/second.bin"

    def rival(number: int) -> None:
        if number == 1:
            world.ingest(other, writes=Writes())

    world.store.drop(PATH, mcuboot_image())
    world.store.drop(other, mcuboot_image("1.2.3", 30_000))
    intake = world.ingest(writes=Writes(before=rival))
    assert intake.code == Refusal.VERSION_TAKEN
    (row,) = world.packages.rows.values()
    assert row.value.source == other
    assert world.store.incoming == {}


def test_debian_package_keeps_its_dependencies_for_people() -> None:
    world = World()
    world.store.drop("app.deb", debian_package())
    intake = world.ingest("app.deb")
    assert intake.package is not None
    row = world.packages.get("sensor-app", "1:2.4.1-3").value
    assert row.depends == "libc6 (>= 2.36), adduser"
    assert row.package.path == "sensor-app/1:2.4.1-3/sensor-app-1:2.4.1-3.deb"


def test_packages_published_late_are_asked_for_again_under_new_ids() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    world.ingest()
    assert resume_publishing(world.packages, world.sender, now=NOON + timedelta(minutes=1)) == 0
    for minutes in (3, 4):
        assert resume_publishing(world.packages, world.sender, now=NOON + timedelta(minutes=minutes)) == 1
    ids = [message.message_id for _, message in world.sender.sent]
    assert len(set(ids)) == 3
    world.publish("gateway-fw", "1.2.3")
    assert resume_publishing(world.packages, world.sender, now=NOON + timedelta(minutes=9)) == 0
