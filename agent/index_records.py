"""The package records and intent keys in the index's ``custom`` fields."""

from __future__ import annotations

from securesystemslib.signer import Key
from tuf.api.metadata import TargetFile

from shared.domain.errors import InvalidId, TrustError
from shared.domain.packages import Package
from shared.wire.targets import INTENT_KEYS_PATH, read_target

__all__ = ["INTENT_KEYS_PATH", "IndexRecordRefused", "read_intent_keys", "read_package"]


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


def read_intent_keys(target: TargetFile) -> tuple[Key, ...]:
    """The keys that may sign intents.

    Raises:
        IndexRecordRefused: The record cannot be read.
    """
    try:
        named = dict(target.custom or {})["keys"]
        return tuple(Key.from_dict(key_id, dict(fields)) for key_id, fields in named.items())
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IndexRecordRefused(f"the intent keys in the index cannot be read: {error!r}") from error
