"""The signature file beside an artifact: a publisher's signed statement as a DSSE envelope in JSON."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer

from shared.domain.errors import InvalidId, TrustError
from shared.domain.ids import package_name
from shared.domain.packages import Compatibility, Package, PackageKind, PublisherSignature
from shared.domain.versions import Version
from shared.trust.publishers import PAYLOAD_TYPE, write_statement

MAX_BYTES = 64 * 1024
"""Some forty times what a statement about ten kinds of hardware takes."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STANDARD_ALPHABET = str.maketrans("-_", "+/")


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
        SignatureUnreadable: It is no JSON envelope of that type with one signature, or its payload is not, byte by
            byte, what ``write_statement`` writes: devices have the signature alone and write the statement again.
    """
    if len(content) > MAX_BYTES:
        raise SignatureUnreadable(f"it is larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(content)
        _check_type(document["payloadType"])
        payload = _decoded(document["payload"])
        signed = _package(json.loads(payload), _signature(document["signatures"]), created)
    except (InvalidId, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SignatureUnreadable(f"it is no signature file: {error!r:.200}") from error
    if write_statement(signed) != payload:
        raise SignatureUnreadable("its statement has other fields, or is not canonical JSON")
    return signed


def _check_type(payload_type: object) -> None:
    if payload_type != PAYLOAD_TYPE:
        raise ValueError(f"its payload is of type {payload_type!r:.80}, not {PAYLOAD_TYPE}")


def _signature(signatures: Any) -> PublisherSignature:
    if len(signatures) != 1:
        raise ValueError(f"it has {len(signatures)} signatures; the index has room for one")
    keyid, signature = signatures[0]["keyid"], signatures[0]["sig"]
    if not isinstance(keyid, str):
        raise TypeError("its keyid is not text")
    return PublisherSignature(keyid=keyid, signature=_decoded(signature).hex())


def _package(statement: Any, signature: PublisherSignature, created: datetime) -> Package:
    kind = PackageKind(statement["kind"])
    if type(statement["length"]) is not int or statement["length"] < 0:
        raise ValueError("its length is no number of bytes")
    if not _SHA256.fullmatch(statement["sha256"]):
        raise ValueError("its sha256 is no SHA-256 in lower-case hex")
    return Package(
        name=package_name(statement["name"]),
        version=Version(statement["version"], kind.scheme),
        kind=kind,
        length_bytes=statement["length"],
        sha256=statement["sha256"],
        created=created,
        compatibility=_compatibility(statement["compatibility"]),
        publisher=signature,
    )


def _compatibility(document: Any) -> Compatibility:
    return {key: tuple(map(str, values)) for key, values in document.items()}


def _decoded(text: str) -> bytes:
    # DSSE (protocol 1.0) lets producers choose between the two alphabets of Base64.
    return base64.b64decode(text.translate(_STANDARD_ALPHABET), validate=True)
