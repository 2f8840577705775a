"""Which name, version and compatibility an artifact gets, out of the four places that may say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.refusals import Refusal, refused
from shared.domain.errors import InvalidId
from shared.domain.ids import PackageName, package_name
from shared.domain.packages import Compatibility, PackageKind
from shared.domain.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What somebody wrote about an artifact, in its blob metadata or in the ``.package.json`` beside it.

    Attributes:
        origin: Where it was written, for the reason of a refusal.
        name: Empty where it does not say.
        compatibility: None where it does not say.
    """

    origin: str
    name: str = ""
    version: str = ""
    compatibility: Compatibility | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The outcome."""

    name: PackageName
    version: Version
    compatibility: Compatibility


def choose_naming(finding: Finding, descriptions: Sequence[Description], path: str) -> Naming:
    """Each of the three from the first place that has it: the descriptions in order, the content, the path.

    Args:
        path: The blob name; ``<name>/<version>/<file>`` says name and version.

    Raises:
        ArtifactRefused: No place has it, it breaks the rules, or it contradicts a Debian control file.
    """
    if finding.kind is PackageKind.DEBIAN:
        _check_against_control(finding, descriptions)
    parts = path.split("/")
    path_name, path_version = (parts[0], parts[1]) if len(parts) == 3 else ("", "")
    name = _first([description.name for description in descriptions], finding.name, path_name)
    version = _first([description.version for description in descriptions], finding.version, path_version)
    return Naming(
        name=_checked_name(name),
        version=_checked_version(version, finding.kind),
        compatibility=_choose_compatibility(finding, descriptions),
    )


def _first(described: Sequence[str], embedded: str, from_path: str) -> str:
    return next((text for text in (*described, embedded, from_path) if text), "")


def _checked_name(text: str) -> PackageName:
    if not text:
        raise refused(Refusal.NAME_MISSING, "neither metadata nor description, content or path say what it is called")
    try:
        return package_name(text)
    except InvalidId as error:
        raise refused(Refusal.NAME_INVALID, error.message) from error


def _checked_version(text: str, kind: PackageKind) -> Version:
    if not text:
        raise refused(Refusal.VERSION_MISSING, "neither metadata nor description, content or path say its version")
    try:
        return Version(text, kind.scheme)
    except InvalidId as error:
        raise refused(Refusal.VERSION_INVALID, error.message) from error


def _choose_compatibility(finding: Finding, descriptions: Sequence[Description]) -> Mapping[str, tuple[str, ...]]:
    """What is described, and of what the content says as much as the description leaves open."""
    described = next((each.compatibility for each in descriptions if each.compatibility is not None), {})
    return {**finding.compatibility, **described}


def _check_against_control(finding: Finding, descriptions: Sequence[Description]) -> None:
    for description in descriptions:
        for word, said, embedded in _claims(finding, description):
            if said and said != embedded:
                raise refused(
                    Refusal.CONTRADICTS_CONTENT,
                    f"{description.origin} says {word} {said!r}, the control file says {embedded!r}",
                )


def _claims(finding: Finding, description: Description) -> Iterator[tuple[str, str, str]]:
    yield "name", description.name, finding.name
    yield "version", description.version, finding.version
    accepted = (description.compatibility or {}).get("architecture", ())
    for architecture in finding.compatibility.get("architecture", ()):
        if accepted and architecture not in accepted:
            yield "architecture", ", ".join(accepted), architecture
