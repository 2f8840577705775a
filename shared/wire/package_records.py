"""The record of a package as JSON, the same wherever it is kept: in the index, in tables, in a campaign's row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.ids import package_name
from shared.domain.packages import Compatibility, Package, PackageKind, PublisherSignature
from shared.domain.versions import Version


def write_package(package: Package) -> dict[str, Any]:
    """The record; ``publisher`` is left out where nobody signed the package."""
    record: dict[str, Any] = {
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        "length": package.length_bytes,
        "sha256": package.sha256,
        "created": package.created.isoformat(),
        "compatibility": write_compatibility(package.compatibility),
    }
    return record | write_publisher(package.publisher)


def read_package(record: Mapping[str, Any]) -> Package:
    """The package in a record.

    Raises:
        InvalidId, KeyError, ValueError, TypeError, AttributeError: It is no such record.
    """
    kind = PackageKind(record["kind"])
    return Package(
        name=package_name(record["name"]),
        version=Version(record["version"], kind.scheme),
        kind=kind,
        length_bytes=int(record["length"]),
        sha256=str(record["sha256"]),
        created=datetime.fromisoformat(record["created"]),
        compatibility=read_compatibility(record["compatibility"]),
        publisher=read_publisher(record),
    )


def write_compatibility(compatibility: Compatibility) -> dict[str, list[str]]:
    """Property to accepted values, properties sorted."""
    return {key: list(values) for key, values in sorted(compatibility.items())}


def read_compatibility(document: Mapping[str, Any]) -> Compatibility:
    """As it was written."""
    return {key: tuple(values) for key, values in document.items()}


def write_publisher(signature: PublisherSignature | None) -> dict[str, Any]:
    """``{"publisher": {"keyid", "sig"}}``, or nothing where there is none."""
    return {} if signature is None else {"publisher": {"keyid": signature.keyid, "sig": signature.signature}}


def read_publisher(record: Mapping[str, Any]) -> PublisherSignature | None:
    """The publisher's signature in a record, where there is one."""
    if (document := record.get("publisher")) is None:
        return None
    return PublisherSignature(keyid=str(document["keyid"]), signature=str(document["sig"]))
