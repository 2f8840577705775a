"""Believing an artifact's signature: first the statement, before anybody reads the artifact, then what it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.domain.artifacts.inspection import Inspection
from shared.domain.artifacts.naming import Description
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.errors import TrustError
from shared.domain.packages import Package
from shared.handlers.sidecars import Sidecars, read_sidecar
from shared.ports.packages import ArtifactStore, IncomingArtifact
from shared.trust.authorities import Authorities, PublisherRule
from shared.trust.publishers import check_publisher
from shared.trust.signature_files import read_signature_file
from shared.wire.descriptions import describe
from shared.wire.package_records import write_compatibility

_SIGNED_FIELDS = ("name", "version", "kind", "compatibility", "length_bytes", "sha256")

type FindAuthorities = Callable[[], Authorities]


def read_signed(
    artifact: IncomingArtifact, sidecars: Sidecars, store: ArtifactStore, authorities: FindAuthorities
) -> Package | None:
    """The package that a known publisher says the artifact is; None where nobody says it and nobody needs to.

    Raises:
        ArtifactRefused: There is no signature and there must be one, or it cannot be believed.
        PortError: The signature file changed meanwhile, or the index, which names the publishers, cannot be read or
            believed now.
    """
    known = authorities()
    if sidecars.signature is None:
        if known.publisher_rule is PublisherRule.OPTIONAL:
            return None
        raise refused(Refusal.SIGNATURE_MISSING, f"there was no {artifact.name}.sig beside it when it was looked at")
    content = read_sidecar(store, sidecars.signature, Refusal.SIGNATURE_UNREADABLE)
    try:
        signed = read_signature_file(content, created=artifact.dropped_at.replace(microsecond=0))
        check_publisher(signed, known)
    except TrustError as error:
        raise refused(Refusal(error.code), f"{sidecars.signature.name}: {error.message}") from error
    return signed


def describe_signed(signed: Package | None) -> list[Description]:
    """What the signed statement says, as a description that goes before all others.

    Raises:
        ArtifactRefused: Its compatibility breaks the rules that descriptions have (``bad_description``).
    """
    if signed is None:
        return []
    compatibility = write_compatibility(signed.compatibility)
    fields = {"name": signed.name, "version": signed.version.text, "compatibility": compatibility}
    return [describe(fields, "the signature")]


def check_content(inspection: Inspection, signed: Package | None) -> None:
    """Return if the signature is about these bytes. Asked before what they are called, which only then matters.

    Raises:
        ArtifactRefused: It is about others.
    """
    if signed is None:
        return
    found = (inspection.finding.kind, inspection.length_bytes, inspection.sha256)
    if found != (signed.kind, signed.length_bytes, signed.sha256):
        raise refused(
            Refusal.SIGNATURE_MISMATCH,
            f"the signature is about other bytes: {signed.kind} of {signed.length_bytes} bytes with SHA-256 "
            f"{signed.sha256[:12]}…; these are {inspection.length_bytes} bytes with {inspection.sha256[:12]}…",
        )


def adopt_signature(package: Package, signed: Package | None) -> Package:
    """The package with its publisher's signature.

    Raises:
        ArtifactRefused: The signature is about something else.
    """
    if signed is None:
        return package
    adopted = replace(package, publisher=signed.publisher)
    if adopted != signed:
        wrong = [field for field in _SIGNED_FIELDS if getattr(adopted, field) != getattr(signed, field)]
        raise refused(
            Refusal.SIGNATURE_MISMATCH,
            f"the signature is about another package: its {' and '.join(wrong)} are not those of the artifact",
        )
    return adopted
