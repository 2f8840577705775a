"""Artifacts dropped with their publishers' signatures, and the intake that takes them or does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer

from cli.publisher import describe_artifact
from shared.domain.artifacts.naming import Description
from shared.handlers.ingest_package import Intake, PackageIntake
from shared.trust.authorities import Authorities, Publisher
from shared.trust.signature_files import write_signature_file
from tests.support.deaths import Writes
from tests.support.memory_packages import NOON, MemoryArtifacts, MemoryPackages, MemorySender
from tests.support.repository import Repository, new_owners

ACME, NORTH = CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ed25519()
PATH = "drop/image.bin"
AUTHORITIES = Authorities(
    intent_keys=(),
    publishers=(
        Publisher(name="acme", keys=(ACME.public_key,)),
        Publisher(name="north", keys=(NORTH.public_key,), packages=("pump-*",)),
    ),
)
NAMED = Description(origin="test", name="gateway-fw", compatibility={"hardware": ("mk2",)})


def signing_repository() -> Repository:
    """An index that names these publishers."""
    owners = new_owners()
    return Repository(
        owners=replace(owners, authorities=replace(AUTHORITIES, intent_keys=owners.authorities.intent_keys))
    )


class SignedIntake:
    """Everything intake touches, and what the index says of publishers."""

    def __init__(self, tmp_path: Path) -> None:
        self.store, self.packages, self.sender = MemoryArtifacts(), MemoryPackages(), MemorySender()
        self.authorities = AUTHORITIES
        self._folder = tmp_path

    def sign(self, content: bytes, described: Description = NAMED, signer: Signer = ACME) -> bytes:
        """What ``groundswell publisher sign`` writes."""
        path = self._folder / "artifact"
        path.write_bytes(content)
        return write_signature_file(describe_artifact(path, described), signer)

    def drop(self, content: bytes, signature: bytes | None, name: str = PATH) -> None:
        if signature is not None:
            self.store.drop(f"{name}.sig", signature)
        self.store.drop(name, content)

    def intake(
        self, writes: Writes | None = None, authorities: Callable[[], Authorities] | None = None
    ) -> PackageIntake:
        through = (writes or Writes()).through
        return PackageIntake(
            store=through(self.store),
            packages=through(self.packages),
            sender=through(self.sender),
            authorities=authorities or (lambda: self.authorities),
        )

    def ingest(self, name: str = PATH, writes: Writes | None = None) -> Intake:
        return self.intake(writes).ingest_package(name, now=NOON)
