"""Packages as targets of the index: the ``custom`` part of a TUF target (TUF specification 1.0, section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.errors import InvalidId, TrustError
from shared.domain.ids import package_name
from shared.domain.packages import INTENT_KEYS_PATH, Package, PackageKind
from shared.domain.versions import Version
from shared.wire.package_rows import read_compatibility

__all__ = ["INTENT_KEYS_PATH", "read_target", "write_target_custom"]


def write_target_custom(package: Package) -> dict[str, Any]:
    """The ``custom`` part of a package's target."""
    return {
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        "compatibility": {key: list(values) for key, values in sorted(package.compatibility.items())},
        "created": package.created.isoformat(),
    }


def read_target(custom: Mapping[str, Any] | None, *, length_bytes: int, sha256: str) -> Package:
    """The package a target describes.

    Raises:
        TrustError: The target is no package (code ``not_a_package``).
    """
    try:
        fields = dict(custom or {})
        kind = PackageKind(fields["kind"])
        return Package(
            name=package_name(fields["name"]),
            version=Version(fields["version"], kind.scheme),
            kind=kind,
            length_bytes=length_bytes,
            sha256=sha256,
            created=datetime.fromisoformat(fields["created"]),
            compatibility=read_compatibility(fields["compatibility"]),
        )
    except (InvalidId, KeyError, ValueError, TypeError, AttributeError) as error:
        raise TrustError(f"the target is no package: {error!r}", code="not_a_package") from error
