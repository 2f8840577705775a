"""Rows of the table ``packages``: plain columns, so that a person can query them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind, PackageState, PackageWithdrawal, RegisteredPackage
from shared.domain.versions import Version
from shared.wire.keys import escape
from shared.wire.known import refuse_unknown
from shared.wire.package_records import read_compatibility, read_publisher, write_compatibility, write_publisher

PARTITION = "packages"
"""One partition, so that a package and its marker change in one transaction."""

_COLUMNS = frozenset(
    {
        *("PartitionKey", "RowKey", "name", "version", "kind", "length_bytes", "sha256", "created", "compatibility"),
        *("state", "source", "depends", "accepted_at", "publisher", "published_at"),
        *("withdrawn_at", "withdrawn_by", "withdrawn_reason"),
    }
)

_BETWEEN = "~~"
_MARK = "~"


def package_row_key(name: str, version: str) -> str:
    """``<escaped name>~~<escaped version>``."""
    return f"{escape(name)}{_BETWEEN}{escape(version)}"


def marker_row_key(name: str, version: str) -> str:
    """The key of the marker that stands while the package waits for the index; sorts after all packages."""
    return _MARK + package_row_key(name, version)


PACKAGES_FILTER = f"PartitionKey eq '{PARTITION}' and RowKey lt '{_MARK}'"
MARKERS_FILTER = f"PartitionKey eq '{PARTITION}' and RowKey ge '{_MARK}'"


def write_package_row(row: RegisteredPackage) -> dict[str, Any]:
    """The entity of a package."""
    package = row.package
    entity = {
        "PartitionKey": PARTITION,
        "RowKey": package_row_key(package.name, package.version.text),
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        # Text, because the table service would otherwise need to be told which integers are 64 bits wide.
        "length_bytes": str(package.length_bytes),
        "sha256": package.sha256,
        "created": package.created.isoformat(),
        "compatibility": json.dumps(write_compatibility(package.compatibility)),
        "state": row.state.value,
        "source": row.source,
        "depends": row.depends,
        "accepted_at": row.accepted_at.isoformat(),
    }
    if package.publisher is not None:
        entity["publisher"] = json.dumps(write_publisher(package.publisher))
    if row.published_at is not None:
        entity["published_at"] = row.published_at.isoformat()
    if row.withdrawal is not None:
        entity["withdrawn_at"] = row.withdrawal.at.isoformat()
        entity["withdrawn_by"] = row.withdrawal.by
        entity["withdrawn_reason"] = row.withdrawal.reason
    return entity


def write_marker_row(row: RegisteredPackage) -> dict[str, Any]:
    """The entity of the marker of a package that waits for the index."""
    name, version = row.package.name, row.package.version.text
    return {"PartitionKey": PARTITION, "RowKey": marker_row_key(name, version), "name": name, "version": version}


def read_package_row(entity: Mapping[str, Any]) -> RegisteredPackage:
    """The package in an entity.

    Raises:
        KeyError, ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(entity, _COLUMNS)
    kind = PackageKind(entity["kind"])
    published = entity.get("published_at")
    return RegisteredPackage(
        package=Package(
            name=package_name(entity["name"]),
            version=Version(entity["version"], kind.scheme),
            kind=kind,
            length_bytes=int(entity["length_bytes"]),
            sha256=entity["sha256"],
            created=datetime.fromisoformat(entity["created"]),
            compatibility=read_compatibility(json.loads(entity["compatibility"])),
            publisher=read_publisher(json.loads(entity.get("publisher", "{}"))),
        ),
        state=PackageState(entity["state"]),
        source=entity["source"],
        depends=entity["depends"],
        accepted_at=datetime.fromisoformat(entity["accepted_at"]),
        published_at=datetime.fromisoformat(published) if published else None,
        withdrawal=_read_withdrawal(entity),
    )


def _read_withdrawal(entity: Mapping[str, Any]) -> PackageWithdrawal | None:
    if not (at := entity.get("withdrawn_at")):
        return None
    return PackageWithdrawal(
        at=datetime.fromisoformat(at), by=entity["withdrawn_by"], reason=entity["withdrawn_reason"]
    )
