"""Publisher signatures: whoever builds an artifact says which package its bytes are.

The signed statement holds name, version, kind, compatibility, length and digest, so that genuine bytes cannot be
passed off as another version. It travels as a DSSE envelope (secure-systems-lab/dsse, protocol 1.0) beside the
artifact; the index keeps the signature alone, because a device can write the statement from the package's record.
"""

from __future__ import annotations

import json
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signature, Signer

from shared.domain.errors import TrustError
from shared.domain.packages import Package, PublisherSignature
from shared.trust.authorities import Authorities, Publisher, PublisherRule

PAYLOAD_TYPE = "application/vnd.groundswell.artifact.v1+json"


class PublisherRefused(TrustError):
    """The package bears no signature of a publisher who may sign it; ``code`` says how it fails."""

    code = "signature_wrong"


def write_statement(package: Package) -> bytes:
    """What a publisher signs: canonical JSON over everything that decides where and over what it is installed."""
    fields: dict[str, Any] = {
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        "compatibility": {key: list(values) for key, values in package.compatibility.items()},
        "length": package.length_bytes,
        "sha256": package.sha256,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def sign_package(package: Package, signer: Signer) -> PublisherSignature:
    """The publisher's signature over a package.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    signature = Envelope(write_statement(package), PAYLOAD_TYPE, {}).sign(signer)
    return PublisherSignature(keyid=signature.keyid, signature=signature.signature)


def check_publisher(package: Package, authorities: Authorities) -> Publisher | None:
    """The publisher who signed the package; None where it bears no signature and needs none.

    Raises:
        PublisherRefused: It needs one and has none (``signature_missing``), nobody the targets role names has that key
            (``publisher_unknown``) or may sign packages of that name (``publisher_not_allowed``), or the signature is
            not over this package (``signature_wrong``).
    """
    if package.publisher is None:
        if authorities.publisher_rule is PublisherRule.OPTIONAL:
            return None
        raise PublisherRefused(f"{package.path} bears no publisher's signature", code="signature_missing")
    publisher = _find_publisher(package, package.publisher, authorities)
    _verify(package, package.publisher, publisher)
    return publisher


def _find_publisher(package: Package, signature: PublisherSignature, authorities: Authorities) -> Publisher:
    holders = [each for each in authorities.publishers if any(key.keyid == signature.keyid for key in each.keys)]
    if not holders:
        raise PublisherRefused(f"no known publisher has the key {signature.keyid[:12]}", code="publisher_unknown")
    allowed = [publisher for publisher in holders if publisher.may_sign(package.name)]
    if not allowed:
        names = " and ".join(publisher.name for publisher in holders)
        raise PublisherRefused(f"{names} may not sign packages named {package.name}", code="publisher_not_allowed")
    return allowed[0]


def _verify(package: Package, signature: PublisherSignature, publisher: Publisher) -> None:
    signatures = {signature.keyid: Signature(signature.keyid, signature.signature)}
    try:
        Envelope(write_statement(package), PAYLOAD_TYPE, signatures).verify(list(publisher.keys), 1)
    except (VerificationError, ValueError) as error:
        raise PublisherRefused(f"the signature of {publisher.name} is not over {package.path} as it is") from error
