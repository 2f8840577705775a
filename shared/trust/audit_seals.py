"""Seals: the service's signature over the head of a campaign's audit chain, and with it over every record before."""

from __future__ import annotations

import json
from collections.abc import Sequence

from securesystemslib.signer import Key, Signer

from shared.domain.audit import AuditRecord
from shared.trust.detached import is_signed, sign_detached

PAYLOAD_TYPE = "application/vnd.groundswell.audit-head.v1+json"


def seal_record(record: AuditRecord, signer: Signer) -> str:
    """The seal of a record.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    return sign_detached(_head(record), PAYLOAD_TYPE, signer)


def is_sealed(record: AuditRecord, keys: Sequence[Key]) -> bool:
    """Whether the record's seal is by one of the keys and about its campaign, number and hash."""
    return is_signed(record.seal, _head(record), PAYLOAD_TYPE, keys)


def _head(record: AuditRecord) -> bytes:
    fields = {"campaign": record.entry.campaign, "number": record.number, "hash": record.hash}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
