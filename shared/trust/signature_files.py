"""The signature file beside an artifact: a publisher's signed statement as a DSSE envelope in JSON."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer

from shared.domain.errors import InvalidId, TrustError
from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind, PublisherSignature
from shared.domain.versions import Version
from shared.trust.publishers import PAYLOAD_TYPE, write_statement

_FIELDS = frozenset({"name", "version", "kind", "compatibility", "length", "sha256"})


class SignatureUnreadable(TrustError):
    """The file is no signed statement about an artifact."""

    code = "signature_unreadable"


def write_signature_file(package: Package, signer: Signer) -> bytes:
    """The file for a package, signed.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    envelope = Envelope(write_statement(package), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=1).encode() + b"\n"


def read_signature_file(content: bytes, *, created: datetime) -> Package:
    """The package that a file says it signs; nothing of it is verified here.

    Raises:
        SignatureUnreadable: It is no JSON envelope of that type with one signature, or its statement lacks a field.
    """
    try:
        document = json.loads(content)
        if document["payloadType"] != PAYLOAD_TYPE:
            raise SignatureUnreadable(f"its payload is of type {document['payloadType']!r}, not {PAYLOAD_TYPE!r}")
        (signature,) = document["signatures"]
        statement = json.loads(_decoded(document["payload"]))
        signed = PublisherSignature(keyid=str(signature["keyid"]), signature=_decoded(signature["sig"]).hex())
        return _package(statement, signed, created)
    except (InvalidId, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SignatureUnreadable(f"it is no signature file: {error!r:.200}") from error


def _package(statement: dict[str, Any], signature: PublisherSignature, created: datetime) -> Package:
    if statement.keys() != _FIELDS:
        raise KeyError(f"a statement has the fields {', '.join(sorted(_FIELDS))}")
    kind = PackageKind(statement["kind"])
    return Package(
        name=package_name(statement["name"]),
        version=Version(statement["version"], kind.scheme),
        kind=kind,
        length_bytes=int(statement["length"]),
        sha256=str(statement["sha256"]),
        created=created,
        compatibility={key: tuple(map(str, values)) for key, values in statement["compatibility"].items()},
        publisher=signature,
    )


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
