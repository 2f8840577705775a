"""Signatures at ingestion when bytes change, processes die and the index cannot be believed: nothing is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.domain.artifacts.naming import Description
from shared.domain.artifacts.refusals import Refusal
from shared.domain.packages import PackageKind, PackageState
from shared.domain.versions import Version
from shared.handlers.ingest_package import IntakeOutcome
from shared.handlers.known_authorities import KnownAuthorities
from shared.handlers.sweep_incoming import IncomingSweep, Swept
from shared.ports.errors import PortError
from shared.ports.packages import CrashReport, IncomingArtifact
from shared.trust.authorities import Authorities
from shared.trust.index import TIMESTAMP_FILE
from shared.trust.signature_files import write_signature_file
from tests.support.artifacts import debian_package, mcuboot_image
from tests.support.deaths import Writes, every_death
from tests.support.memory_packages import NOON, MemoryArtifacts, MemoryCrashReports, MemoryParking
from tests.support.repository import new_package
from tests.support.signed_intake import ACME, AUTHORITIES, PATH, SignedIntake, signing_repository

SIGNATURE = f"{PATH}.sig"
OTHER = mcuboot_image("1.2.4")


class BusyArtifacts(MemoryArtifacts):
    """A store in which somebody does something just before a blob is read."""

    def __init__(self, before: dict[str, Callable[[MemoryArtifacts], object]]) -> None:
        super().__init__()
        self._before = before

    def stream(self, artifact: IncomingArtifact) -> Generator[bytes]:
        if (act := self._before.pop(artifact.name, None)) is not None:
            act(self)
        return super().stream(artifact)


@pytest.fixture
def world(tmp_path: Path) -> SignedIntake:
    return SignedIntake(tmp_path)


def _busy(world: SignedIntake, name: str, act: Callable[[MemoryArtifacts], object]) -> None:
    """Somebody acts on the store just before the blob of that name is read."""
    world.store = BusyArtifacts({name: act})


def _sweep(world: SignedIntake, reports: MemoryCrashReports, authorities: Callable[[], Authorities]) -> Swept:
    intake = world.intake(authorities=authorities)
    sweep = IncomingSweep(intake=intake, crash_reports=reports, parking=MemoryParking())
    return sweep.sweep_incoming(now=NOON)


def _codes(world: SignedIntake) -> list[str]:
    return [blob.metadata["code"] for blob in world.store.quarantine.values() if blob.metadata]


def test_signature_replaced_while_it_is_read_makes_the_event_come_again(world: SignedIntake) -> None:
    genuine = world.sign(mcuboot_image())
    _busy(world, SIGNATURE, lambda store: store.drop(SIGNATURE, genuine))
    world.drop(mcuboot_image(), world.sign(OTHER))
    with pytest.raises(PortError):
        world.ingest()
    assert set(world.store.incoming) == {PATH, SIGNATURE}
    assert world.ingest().outcome is IntakeOutcome.ACCEPTED
    assert world.store.incoming == {}


def test_signature_taken_back_while_it_is_read_makes_the_event_come_again(world: SignedIntake) -> None:
    _busy(world, SIGNATURE, lambda store: store.incoming.pop(SIGNATURE))
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    with pytest.raises(PortError):
        world.ingest()
    assert world.ingest().code == Refusal.SIGNATURE_MISSING


def test_artifact_replaced_after_its_signature_was_read_is_judged_anew(world: SignedIntake) -> None:
    """The genuine signature must not cover bytes that are swapped in behind it."""
    _busy(world, PATH, lambda store: store.drop(PATH, OTHER))
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    assert world.ingest().outcome is IntakeOutcome.GONE
    assert world.packages.rows == {}
    assert set(world.store.incoming) == {PATH, SIGNATURE}
    assert world.ingest().code == Refusal.SIGNATURE_MISMATCH
    assert world.packages.rows == {}


@pytest.mark.parametrize("swapped_before", range(2), ids=["the copy", "the claim"])
def test_artifact_replaced_after_it_was_read_is_never_what_was_signed(world: SignedIntake, swapped_before: int) -> None:
    def swap(number: int) -> None:
        if number == swapped_before:
            world.store.drop(PATH, OTHER)

    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    world.ingest(writes=Writes(before=swap))
    assert world.store.incoming[PATH].content == OTHER
    assert all(blob.content == mcuboot_image() for blob in world.store.packages.values())


def test_signature_of_the_next_build_survives_the_artifact_before_it(world: SignedIntake) -> None:
    """The next build's signature, dropped first as it shall be, comes while the one before it is taken in."""
    following = world.sign(OTHER)

    def next_build(number: int) -> None:
        if number == 0:
            world.store.drop(SIGNATURE, following)

    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    assert world.ingest(writes=Writes(before=next_build)).outcome is IntakeOutcome.ACCEPTED
    assert world.store.incoming[SIGNATURE].content == following
    world.store.drop(PATH, OTHER)
    assert world.ingest().outcome is IntakeOutcome.ACCEPTED


def test_death_at_any_write_of_a_quarantine_loses_neither_artifact_nor_signature(tmp_path: Path) -> None:
    state: dict[str, SignedIntake] = {}

    def run(writes: Writes) -> None:
        state["world"] = world = SignedIntake(tmp_path)
        world.drop(OTHER, world.sign(mcuboot_image()))
        world.ingest(writes=writes)

    deaths = 0
    for death in every_death(run):
        world = state["world"]
        kept_before = {blob.content for blob in (*world.store.quarantine.values(), *world.store.incoming.values())}
        world.ingest()
        kept = {blob.content for blob in (*world.store.quarantine.values(), *world.store.incoming.values())}
        assert OTHER in kept, death
        assert any(b"payloadType" in content for content in kept_before & kept), death
        assert PATH not in world.store.incoming, death
        assert world.packages.rows == {}, death
        deaths += 1
    assert deaths == 10


@pytest.mark.parametrize("lost", [TIMESTAMP_FILE, "1.snapshot.json", "1.targets.json"])
def test_index_that_is_not_there_keeps_artifacts_waiting(world: SignedIntake, lost: str) -> None:
    repository = signing_repository()
    kept = repository.store.files.pop(lost)
    authorities = KnownAuthorities(repository.writer()).get
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    with pytest.raises(PortError):
        world.intake(authorities=authorities).ingest_package(PATH, now=NOON)
    assert set(world.store.incoming) == {PATH, SIGNATURE}

    repository.store.files[lost] = kept
    intake = world.intake(authorities=authorities).ingest_package(PATH, now=NOON)
    assert intake.outcome is IntakeOutcome.ACCEPTED


def test_forged_index_makes_nobody_a_publisher_and_costs_no_artifact(world: SignedIntake) -> None:
    """The storage thief's index names the thief's key; the sweep, too, leaves everything where it is."""
    repository, forger = signing_repository(), signing_repository()
    genuine = dict(repository.store.files)
    repository.store.files["1.targets.json"] = forger.store.files["1.targets.json"]
    authorities = KnownAuthorities(repository.writer()).get
    world.store.drop(SIGNATURE, world.sign(mcuboot_image()), at=NOON - timedelta(hours=2))
    artifact = world.store.drop(PATH, mcuboot_image(), at=NOON - timedelta(hours=2))
    reports = MemoryCrashReports()
    reports.reports.append(
        CrashReport(receipt="r", body=b"{}", container="incoming", blob_name=PATH, etag=artifact.etag)
    )
    with pytest.raises(PortError):
        _sweep(world, reports, authorities)
    assert set(world.store.incoming) == {PATH, SIGNATURE}
    assert world.store.quarantine == {}

    repository.store.files.update(genuine)
    assert _sweep(world, reports, authorities) == Swept(taken_in=1)
    assert world.store.incoming == {}
    assert reports.reports == []


def test_signature_left_alone_is_quarantined_after_an_hour(world: SignedIntake) -> None:
    signature = world.sign(mcuboot_image())
    world.store.drop("a.bin.sig", signature, at=NOON - timedelta(minutes=59))
    world.store.drop("b.bin.sig", signature, at=NOON - timedelta(minutes=61))
    assert _sweep(world, MemoryCrashReports(), lambda: AUTHORITIES) == Swept(quarantined=1)
    assert list(world.store.incoming) == ["a.bin.sig"]
    assert _codes(world) == [Refusal.SIDECAR_ALONE]


def test_signature_of_another_package_beside_a_debian_package_is_about_something_else(world: SignedIntake) -> None:
    world.drop(debian_package(), world.sign(mcuboot_image()))
    assert world.ingest().code == Refusal.SIGNATURE_MISMATCH


def test_statement_that_leaves_out_what_the_control_file_says_is_about_something_else(world: SignedIntake) -> None:
    """The architecture is missing in it: devices would be told to put it everywhere."""
    package = replace(new_package("sensor-app"), kind=PackageKind.DEBIAN, compatibility={})
    content = debian_package()
    package = replace(
        package,
        version=Version("1:2.4.1-3", PackageKind.DEBIAN.scheme),
        length_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    world.drop(content, write_signature_file(package, ACME))
    intake = world.ingest()
    assert intake.code == Refusal.SIGNATURE_MISMATCH
    assert "compatibility" in intake.reason


def test_signed_compatibility_has_the_rules_of_any_other(world: SignedIntake) -> None:
    unruly = Description(origin="test", name="gateway-fw", compatibility={"hard ware": ("mk2",)})
    world.drop(mcuboot_image(), world.sign(mcuboot_image(), unruly))
    assert world.ingest().code == Refusal.BAD_DESCRIPTION


def test_signed_artifact_whose_upload_broke_off_is_called_truncated(world: SignedIntake) -> None:
    world.drop(mcuboot_image()[:9_000], world.sign(mcuboot_image()))
    assert world.ingest().code == Refusal.TRUNCATED


def test_what_was_published_keeps_its_first_publisher(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    world.ingest()
    row = world.packages.get("gateway-fw", "1.2.3")
    world.packages.save(replace(row, value=replace(row.value, state=PackageState.PUBLISHED)))
    published = world.packages.get("gateway-fw", "1.2.3")
    elsewhere = Description(origin="test", name="gateway-fw", compatibility={"hardware": ("mk3",)})

    world.drop(mcuboot_image(), world.sign(mcuboot_image(), elsewhere))

    assert world.ingest().outcome is IntakeOutcome.ALREADY_PUBLISHED
    assert world.packages.get("gateway-fw", "1.2.3") == published
