"""Signing what an operator asked for: a campaign's specification as a DSSE envelope without its payload.

The payload is not kept: whoever verifies writes it anew from the row as it stands, so that what is verified is what is
acted upon (secure-systems-lab/dsse, protocol 1.0).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signature, Signer

from shared.domain.errors import TrustError

PAYLOAD_TYPE = "application/vnd.groundswell.campaign.v1+json"


class SpecUntrusted(TrustError):
    """A campaign's row does not say what was signed when the campaign was posted."""

    code = "spec_untrusted"


def sign_spec(payload: bytes, signer: Signer) -> str:
    """The signature as compact JSON, ``{"keyid", "sig"}``.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    signature = Envelope(payload, PAYLOAD_TYPE, {}).sign(signer)
    return json.dumps({"keyid": signature.keyid, "sig": signature.signature})


def verify_spec(signature_text: str, payload: bytes, keys: Sequence[Key]) -> None:
    """Return if one of the keys signed the payload.

    Raises:
        SpecUntrusted: None did, or the signature cannot be read.
    """
    try:
        fields = json.loads(signature_text)
        signature = Signature(str(fields["keyid"]), str(fields["sig"]))
        Envelope(payload, PAYLOAD_TYPE, {signature.keyid: signature}).verify(list(keys), 1)
    except (VerificationError, ValueError, KeyError, TypeError) as error:
        raise SpecUntrusted("its row is not the one that was signed when it was posted") from error
