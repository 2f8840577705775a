"""Signatures kept without what they are over: DSSE envelopes without their payload.

The payload is not kept: whoever verifies writes it anew from what is believed to have been signed, so that what is
verified is what is acted upon (secure-systems-lab/dsse, protocol 1.0). The payload type keeps a signature over one kind
of statement from being taken for one over another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signature, Signer


def sign_detached(payload: bytes, payload_type: str, signer: Signer) -> str:
    """The signature as compact JSON, ``{"keyid", "sig"}``.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    signature = Envelope(payload, payload_type, {}).sign(signer)
    return json.dumps({"keyid": signature.keyid, "sig": signature.signature})


def is_signed(signature_text: str, payload: bytes, payload_type: str, keys: Sequence[Key]) -> bool:
    """Whether one of the keys signed the payload as this type; not so where the signature cannot be read."""
    try:
        fields = json.loads(signature_text)
        signature = Signature(str(fields["keyid"]), str(fields["sig"]))
        Envelope(payload, payload_type, {signature.keyid: signature}).verify(list(keys), 1)
    except (VerificationError, ValueError, KeyError, TypeError):
        return False
    return True
