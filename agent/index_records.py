"""The package records in the index's ``custom`` fields."""

from __future__ import annotations

from tuf.api.metadata import TargetFile

from shared.domain.errors import InvalidId, TrustError
from shared.domain.packages import Package
from shared.wire.targets import read_target


class IndexRecordRefused(TrustError):
    """A signed record that this agent cannot make sense of."""

    code = "index_refused"


def read_package(target: TargetFile) -> Package:
    """The package record of a target.

    Raises:
        IndexRecordRefused: It is incomplete, or stands under another path than its name and version give.
    """
    try:
        package = read_target(target.custom, length_bytes=target.length, sha256=target.hashes["sha256"])
        path = package.path
    except (TrustError, InvalidId, KeyError) as error:
        raise IndexRecordRefused(f"the record of {target.path} cannot be read: {error}") from error
    if path != target.path:
        raise IndexRecordRefused(f"the record of {target.path} speaks of {path}")
    return package
