"""What an artifact says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.packages import PackageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of an inspection.

    Attributes:
        name: Embedded name; empty where there is none that could be a package name.
        version: Embedded version as it is written there; empty where there is none.
        compatibility: What its content can run on, as far as it says.
        depends: The ``Depends`` field of a Debian package.
    """

    kind: PackageKind
    name: str = ""
    version: str = ""
    compatibility: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    depends: str = ""
