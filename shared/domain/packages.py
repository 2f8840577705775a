"""Packages: accepted artifacts, immutable once published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import PackageName, PackagePath, package_name
from shared.domain.versions import Version, VersionScheme


class PackageKind(StrEnum):
    """What a package is, which decides how it is inspected and which handler installs it."""

    FIRMWARE = "firmware"
    DEBIAN = "deb"

    @property
    def scheme(self) -> VersionScheme:
        """How versions of this kind are ordered."""
        return VersionScheme.DEBIAN if self is PackageKind.DEBIAN else VersionScheme.DOTTED

    @property
    def suffix(self) -> str:
        """The file suffix of its package path."""
        return {PackageKind.FIRMWARE: ".img", PackageKind.DEBIAN: ".deb"}[self]


type Compatibility = Mapping[str, tuple[str, ...]]
"""Device property (``hardware``, ``architecture``) to the values the package accepts; empty means every device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSignature:
    """What a publisher signed a package with; over what, says ``shared.trust.publishers``.

    Attributes:
        signature: Lower-case hex.
    """

    keyid: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The record of a package, as the index signs it.

    Attributes:
        length_bytes: Size of the content.
        sha256: Lower-case hex digest of the content.
        publisher: Whose package it is; None where nobody signed it.
    """

    name: PackageName
    version: Version
    kind: PackageKind
    length_bytes: int
    sha256: str
    created: datetime
    compatibility: Compatibility
    publisher: PublisherSignature | None = None

    @property
    def path(self) -> PackagePath:
        """The target path in the index."""
        return package_path(self.name, self.version, self.kind)

    @property
    def blob_name(self) -> str:
        """The content's blob in the ``packages`` container: the target path with the digest before the file name.

        This is the layout TUF gives targets under consistent snapshots, so any TUF client can fetch it.
        """
        folder, _, file_name = self.path.rpartition("/")
        return f"{folder}/{self.sha256}.{file_name}"


class PackageState(StrEnum):
    """How far an accepted artifact is on its way into the index."""

    ACCEPTED = "accepted"
    PUBLISHED = "published"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    """The index names other bytes under its path, or nobody believes its publisher; see ``publish_index``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageWithdrawal:
    """Who withdrew a package, when, and why."""

    at: datetime
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPackage:
    """One row of the ``packages`` table.

    Attributes:
        source: The blob in ``incoming`` it came from.
        depends: The ``Depends`` field of a Debian package as its maintainer wrote it, for people; empty otherwise.
        published_at: When the index first named it; None before.
        withdrawal: None unless somebody withdrew it.
    """

    package: Package
    state: PackageState = PackageState.ACCEPTED
    source: str = ""
    depends: str = ""
    accepted_at: datetime
    published_at: datetime | None = None
    withdrawal: PackageWithdrawal | None = None

    @property
    def is_withdrawn(self) -> bool:
        """Whether it must not be offered any more, even where the index still names it."""
        return self.state in (PackageState.WITHDRAWING, PackageState.WITHDRAWN)

    @property
    def awaits_index(self) -> bool:
        """Whether the index does not say yet what this row says."""
        return self.state in (PackageState.ACCEPTED, PackageState.WITHDRAWING)

    @property
    def asked_at(self) -> datetime:
        """Since when the row has said so."""
        return self.withdrawal.at if self.withdrawal is not None else self.accepted_at


def package_path(name: str, version: Version, kind: PackageKind) -> PackagePath:
    """``<name>/<version>/<name>-<version>.<suffix>``.

    Raises:
        InvalidId: The name is no package name.
    """
    return PackagePath(f"{package_name(name)}/{version}/{name}-{version}{kind.suffix}")


def is_compatible(compatibility: Compatibility, device_properties: Mapping[str, str]) -> bool:
    """Whether every property the package asks for is one the device has, with an accepted value."""
    return all(device_properties.get(key) in accepted for key, accepted in compatibility.items())
