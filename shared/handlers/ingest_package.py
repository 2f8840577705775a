"""Take an artifact in: look into it, store it under its digest, claim its name and version, ask for its publication.

Order of writes, and why a death between any two loses nothing (invariant I1):

1. The copy into ``packages``, under a name that holds the digest. Dead here: an unnamed copy lies there, the artifact
   is still in ``incoming``, and its event comes again or the sweep finds it.
2. The row in ``packages``, created, which claims name and version for this digest. It comes after the copy, so that a
   row always has its bytes, even when the artifact is replaced before the next try.
3. The index request. Dead before it: the event comes again; failing that, ``resume_publishing`` finds the row.
4. The deletion from ``incoming``, only of the very bytes that were read; then of what lies beside it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.artifacts.inspection import Inspection, inspect
from shared.domain.artifacts.naming import Description, choose_naming
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.errors import ArtifactRefused
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.handlers.check_signature import (
    FindAuthorities,
    adopt_signature,
    check_content,
    describe_signed,
    read_signed,
)
from shared.handlers.index_requests import send_index_request
from shared.handlers.quarantine_artifact import quarantine_artifact
from shared.handlers.sidecars import Sidecars, find_sidecars, read_sidecar
from shared.ports.bus import MessageSender
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.packages import ArtifactStore, IncomingArtifact, PackageStore
from shared.wire.descriptions import read_description, read_metadata
from shared.wire.sidecars import is_sidecar


class IntakeOutcome(StrEnum):
    """How an artifact's event ended."""

    GONE = "gone"
    SIDECAR = "sidecar"
    ACCEPTED = "accepted"
    ALREADY_PUBLISHED = "already_published"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What became of an artifact.

    Attributes:
        package: The package it is, where it was taken in.
        code: Why it was refused; empty otherwise.
        quarantine_name: Where it lies then.
    """

    outcome: IntakeOutcome
    package: Package | None = None
    code: str = ""
    reason: str = ""
    quarantine_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageIntake:
    """What taking in needs."""

    store: ArtifactStore
    packages: PackageStore
    sender: MessageSender
    authorities: FindAuthorities

    def ingest_package(self, name: str, *, now: datetime) -> Intake:
        """Take in, or quarantine, what lies at ``incoming/<name>``; doing it twice ends the same.

        Raises:
            PortError: Nothing is lost; the event must come again.
        """
        artifact = self.store.find_incoming(name)
        if artifact is None:
            return Intake(outcome=IntakeOutcome.GONE)
        if is_sidecar(name):
            # It is read with its artifact; the sweep quarantines one that stays alone.
            return Intake(outcome=IntakeOutcome.SIDECAR)
        try:
            return self._take_in(artifact, now)
        except NotThere:
            # Taken back, taken in by somebody else, or replaced by bytes that have an event of their own.
            return Intake(outcome=IntakeOutcome.GONE)
        except ArtifactRefused as error:
            lies_at = quarantine_artifact(artifact, Refusal(error.code), error.message, store=self.store, now=now)
            return Intake(
                outcome=IntakeOutcome.QUARANTINED, code=error.code, reason=error.message, quarantine_name=lies_at
            )

    def is_accepted(self, artifact: IncomingArtifact) -> bool:
        """Whether a package with these very bytes holds their name and version already.

        Raises:
            PortError: The stores cannot be read.
        """
        _, package = self._look_into(artifact, find_sidecars(self.store, artifact.name))
        try:
            row = self.packages.get(package.name, package.version.text).value
        except NotThere:
            return False
        return row.package.sha256 == package.sha256 and row.state in (PackageState.ACCEPTED, PackageState.PUBLISHED)

    def _look_into(self, artifact: IncomingArtifact, sidecars: Sidecars) -> tuple[Inspection, Package]:
        """What the artifact is; nobody reads it before its signature is believed."""
        signed = read_signed(artifact, sidecars, self.store, self.authorities)
        descriptions = [*describe_signed(signed), read_metadata(artifact.metadata), *self._read(sidecars)]
        with closing(self.store.stream(artifact)) as chunks:
            inspection = inspect(chunks)
        check_content(inspection, signed)
        return inspection, adopt_signature(_make_package(inspection, descriptions, artifact), signed)

    def _take_in(self, artifact: IncomingArtifact, now: datetime) -> Intake:
        sidecars = find_sidecars(self.store, artifact.name)
        inspection, package = self._look_into(artifact, sidecars)
        self._check_claim(package)
        self.store.copy_to_packages(artifact, package.blob_name)
        row = self._claim(
            RegisteredPackage(
                package=package, source=artifact.name, depends=inspection.finding.depends, accepted_at=now
            )
        )
        if row.state is PackageState.ACCEPTED:
            send_index_request(row, self.sender)
        self.store.delete_incoming(artifact)
        for _, sidecar in sidecars:
            self.store.delete_incoming(sidecar)
        is_new = row.state is PackageState.ACCEPTED
        return Intake(
            outcome=IntakeOutcome.ACCEPTED if is_new else IntakeOutcome.ALREADY_PUBLISHED, package=row.package
        )

    def _read(self, sidecars: Sidecars) -> list[Description]:
        if (described := sidecars.description) is None:
            return []
        content = read_sidecar(self.store, described, Refusal.BAD_DESCRIPTION)
        return [read_description(content, described.name.rpartition("/")[2])]

    def _check_claim(self, package: Package) -> None:
        """Spare the copy where name and version are taken already."""
        try:
            _check_same_bytes(self.packages.get(package.name, package.version.text).value, package)
        except NotThere:
            return

    def _claim(self, row: RegisteredPackage) -> RegisteredPackage:
        """The row that holds name and version from now on: this one, or an earlier one for the same bytes."""
        try:
            self.packages.create(row)
        except AlreadyExists:
            earlier = self.packages.get(row.package.name, row.package.version.text).value
            _check_same_bytes(earlier, row.package)
            return earlier
        return row


def _make_package(inspection: Inspection, descriptions: list[Description], artifact: IncomingArtifact) -> Package:
    naming = choose_naming(inspection.finding, descriptions, artifact.name)
    return Package(
        name=naming.name,
        version=naming.version,
        kind=inspection.finding.kind,
        length_bytes=inspection.length_bytes,
        sha256=inspection.sha256,
        created=artifact.dropped_at.replace(microsecond=0),
        compatibility=naming.compatibility,
    )


def _check_same_bytes(row: RegisteredPackage, package: Package) -> None:
    if row.package.sha256 == package.sha256 and row.withdrawal is not None:
        raise refused(
            Refusal.PACKAGE_WITHDRAWN,
            f"{package.name} {package.version} was withdrawn on {row.withdrawal.at:%Y-%m-%d}: "
            f"{row.withdrawal.reason or 'no reason was given'}",
        )
    if row.package.sha256 != package.sha256 or row.state is PackageState.REFUSED:
        raise refused(
            Refusal.VERSION_TAKEN,
            f"{package.name} {package.version} was accepted on {row.accepted_at:%Y-%m-%d} with other content "
            f"(SHA-256 {row.package.sha256[:12]}…, this one {package.sha256[:12]}…)",
        )
