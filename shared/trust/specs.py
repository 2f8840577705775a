"""Signing what an operator asked for: a detached signature over a campaign's specification."""

from __future__ import annotations

from collections.abc import Sequence

from securesystemslib.signer import Key, Signer

from shared.domain.errors import TrustError
from shared.trust.detached import is_signed, sign_detached

PAYLOAD_TYPE = "application/vnd.groundswell.campaign.v1+json"


class SpecUntrusted(TrustError):
    """A campaign's row does not say what was signed when the campaign was posted."""

    code = "spec_untrusted"


def sign_spec(payload: bytes, signer: Signer) -> str:
    """The signature as compact JSON, ``{"keyid", "sig"}``.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    return sign_detached(payload, PAYLOAD_TYPE, signer)


def verify_spec(signature_text: str, payload: bytes, keys: Sequence[Key]) -> None:
    """Return if one of the keys signed the payload.

    Raises:
        SpecUntrusted: None did, or the signature cannot be read.
    """
    if not is_signed(signature_text, payload, PAYLOAD_TYPE, keys):
        raise SpecUntrusted("its row is not the one that was signed when it was posted")
