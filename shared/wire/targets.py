"""Packages as targets of the index: the ``custom`` part of a TUF target (TUF specification 1.0, section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.errors import InvalidId, TrustError
from shared.domain.packages import Package
from shared.wire.package_records import read_package, write_package

_ELSEWHERE = frozenset({"length", "sha256"})
"""What a target says outside its ``custom`` part."""


def write_target_custom(package: Package) -> dict[str, Any]:
    """The ``custom`` part of a package's target."""
    return {field: value for field, value in write_package(package).items() if field not in _ELSEWHERE}


def read_target(custom: Mapping[str, Any] | None, *, length_bytes: int, sha256: str) -> Package:
    """The package a target describes.

    Raises:
        TrustError: The target is no package (code ``not_a_package``).
    """
    try:
        return read_package({**(custom or {}), "length": length_bytes, "sha256": sha256})
    except (InvalidId, KeyError, ValueError, TypeError, AttributeError) as error:
        raise TrustError(f"the target is no package: {error!r}", code="not_a_package") from error
