"""Publishers' signatures at ingestion: ``incoming`` alone is not enough to get anything into the index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from shared.domain.artifacts.naming import Description
from shared.domain.packages import Package, RegisteredPackage
from shared.handlers.ingest_package import IntakeOutcome
from shared.handlers.quarantine_artifact import NOTE_SUFFIX
from shared.ports.errors import Unavailable
from shared.trust.authorities import Authorities, Publisher, PublisherRule
from shared.trust.publishers import check_publisher, sign_package
from tests.support.artifacts import debian_package, mcuboot_image
from tests.support.deaths import Writes, every_death
from tests.support.memory_packages import NOON, MemoryPackages
from tests.support.repository import new_package
from tests.support.signed_intake import ACME, AUTHORITIES, NORTH, PATH, SignedIntake


@pytest.fixture
def world(tmp_path: Path) -> SignedIntake:
    return SignedIntake(tmp_path)


def _signed(package: Package) -> Package:
    return replace(package, publisher=sign_package(package, ACME))


def _assert_quarantined(world: SignedIntake, code: str) -> None:
    intake = world.ingest()
    assert (intake.outcome, intake.code) == (IntakeOutcome.QUARANTINED, code), intake.reason
    assert world.packages.rows == {}
    assert world.store.incoming == {}
    (note,) = (json.loads(blob.content) for name, blob in world.store.quarantine.items() if name.endswith(NOTE_SUFFIX))
    assert note["code"] == code
    assert note["advice"]


def test_signed_artifact_is_what_its_publisher_says(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    intake = world.ingest()
    assert intake.outcome is IntakeOutcome.ACCEPTED
    assert intake.package is not None
    assert (intake.package.name, intake.package.compatibility) == ("gateway-fw", {"hardware": ("mk2",)})
    publisher = check_publisher(intake.package, AUTHORITIES)
    assert publisher is not None
    assert publisher.name == "acme"
    assert world.store.incoming == {}


def test_what_the_publisher_signed_goes_before_what_an_uploader_writes(world: SignedIntake) -> None:
    signature = world.sign(mcuboot_image())
    world.store.drop(f"{PATH}.sig", signature)
    world.store.drop(PATH, mcuboot_image(), {"name": "other-fw", "version": "9.9.9"})
    intake = world.ingest()
    assert intake.package is not None
    assert (intake.package.name, intake.package.version.text) == ("gateway-fw", "1.2.3")


def test_signed_debian_package_keeps_what_its_control_file_says(world: SignedIntake) -> None:
    world.drop(debian_package(), world.sign(debian_package(), Description(origin="test"), ACME))
    assert world.ingest().outcome is IntakeOutcome.ACCEPTED


def test_artifact_planted_in_incoming_without_a_signature_is_kept_aside(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), None)
    _assert_quarantined(world, "signature_missing")


def test_artifact_signed_by_a_stranger_is_kept_aside(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), world.sign(mcuboot_image(), signer=CryptoSigner.generate_ecdsa()))
    _assert_quarantined(world, "publisher_unknown")


def test_publisher_cannot_sign_packages_of_another(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), world.sign(mcuboot_image(), signer=NORTH))
    _assert_quarantined(world, "publisher_not_allowed")


def test_genuine_signature_beside_other_bytes_is_of_no_use(world: SignedIntake) -> None:
    world.drop(mcuboot_image("1.2.3", 10_000), world.sign(mcuboot_image()))
    _assert_quarantined(world, "signature_mismatch")


def test_changed_statement_is_refused_before_the_artifact_is_read(world: SignedIntake) -> None:
    document = json.loads(world.sign(mcuboot_image()))
    document["payload"] = json.loads(world.sign(mcuboot_image("9.9.9")))["payload"]
    world.drop(b"no firmware at all", json.dumps(document).encode())
    _assert_quarantined(world, "signature_wrong")


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b"[]", b'{"payloadType": "x"}', b"[" * 100_000, b"x" * 70_000],
    ids=["empty", "no json", "a list", "another type", "deep", "huge"],
)
def test_signature_file_that_is_none_is_kept_aside_with_its_artifact(world: SignedIntake, content: bytes) -> None:
    world.drop(mcuboot_image(), content)
    _assert_quarantined(world, "signature_unreadable")
    assert len(world.store.quarantine) == 3


def test_wrong_signature_is_refused_even_where_none_is_needed(world: SignedIntake) -> None:
    world.authorities = replace(AUTHORITIES, publisher_rule=PublisherRule.OPTIONAL)
    world.drop(mcuboot_image(), world.sign(mcuboot_image(), signer=CryptoSigner.generate_ecdsa()))
    _assert_quarantined(world, "publisher_unknown")


def test_signature_dropped_after_its_artifact_was_refused_does_not_bring_it_back(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), None)
    _assert_quarantined(world, "signature_missing")
    world.store.drop(f"{PATH}.sig", world.sign(mcuboot_image()))
    assert world.ingest(f"{PATH}.sig").outcome is IntakeOutcome.SIDECAR
    assert world.packages.rows == {}


def test_same_bytes_signed_by_another_publisher_change_nothing(world: SignedIntake) -> None:
    second = CryptoSigner.generate_ecdsa()
    world.authorities = replace(
        AUTHORITIES, publishers=(*AUTHORITIES.publishers, Publisher(name="second", keys=(second.public_key,)))
    )
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))
    first = world.ingest().package
    world.drop(mcuboot_image(), world.sign(mcuboot_image(), signer=second))
    again = world.ingest()
    assert again.package == first
    assert again.outcome is not IntakeOutcome.QUARANTINED


def test_nothing_is_refused_while_nobody_knows_the_publishers(world: SignedIntake) -> None:
    world.drop(mcuboot_image(), world.sign(mcuboot_image()))

    def unknown() -> Authorities:
        raise Unavailable("the index cannot be read")

    with pytest.raises(Unavailable):
        world.intake(authorities=unknown).ingest_package(PATH, now=NOON)
    assert set(world.store.incoming) == {PATH, f"{PATH}.sig"}
    assert world.ingest().outcome is IntakeOutcome.ACCEPTED


def test_a_death_at_any_write_loses_neither_artifact_nor_signature(tmp_path: Path) -> None:
    state: dict[str, SignedIntake] = {}

    def run(writes: Writes) -> None:
        state["world"] = world = SignedIntake(tmp_path)
        world.drop(mcuboot_image(), world.sign(mcuboot_image()))
        world.ingest(writes=writes)

    for _ in every_death(run):
        world = state["world"]
        world.ingest()
        (row,) = world.packages.rows.values()
        assert row.value.package.publisher is not None
        assert PATH not in world.store.incoming


def test_registered_package_keeps_its_signature() -> None:
    packages = MemoryPackages()
    packages.create(RegisteredPackage(package=_signed(new_package()), accepted_at=NOON))
    row = packages.get("gateway-fw", "1.0.0").value
    assert check_publisher(row.package, AUTHORITIES) is not None
