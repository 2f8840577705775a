"""The package records and intent keys in the index's ``custom`` fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from securesystemslib.signer import Key
from tuf.api.metadata import TargetFile

from shared.domain.errors import TrustError
from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind
from shared.domain.versions import Version

INTENT_KEYS_PATH = "keys/intents"


class IndexRecordRefused(TrustError):
    """A signed record that this agent cannot make sense of."""

    code = "index_refused"


def read_package(target: TargetFile) -> Package:
    """The package record of a target.

    Raises:
        IndexRecordRefused: It is incomplete, or stands under another path than its name and version give.
    """
    fields = _custom(target)
    try:
        kind = PackageKind(fields["kind"])
        package = Package(
            name=package_name(fields["name"]),
            version=Version(fields["version"], kind.scheme),
            kind=kind,
            length_bytes=target.length,
            sha256=target.hashes["sha256"],
            created=datetime.fromisoformat(fields["created"]),
            compatibility={key: tuple(values) for key, values in fields.get("compatibility", {}).items()},
        )
    except (KeyError, ValueError, TypeError, AttributeError, TrustError) as error:
        raise IndexRecordRefused(f"the record of {target.path} cannot be read: {error!r}") from error
    if package.path != target.path:
        raise IndexRecordRefused(f"the record of {target.path} speaks of {package.path}")
    return package


def read_intent_keys(target: TargetFile) -> tuple[Key, ...]:
    """The keys that may sign intents.

    Raises:
        IndexRecordRefused: The record cannot be read.
    """
    try:
        return tuple(Key.from_dict(key_id, dict(fields)) for key_id, fields in _custom(target)["keys"].items())
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IndexRecordRefused(f"the intent keys in the index cannot be read: {error!r}") from error


def _custom(target: TargetFile) -> Mapping[str, Any]:
    if not isinstance(target.custom, Mapping):
        raise IndexRecordRefused(f"the index says nothing about {target.path}")
    return target.custom
