"""Intents: what one signature says about a device batch, and all the ways not to believe it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from shared.domain.ids import CampaignId, DeviceId, PackagePath
from shared.domain.offers import Intent
from shared.trust.intents import (
    PAYLOAD_TYPE,
    IntentRefused,
    batch_leaves,
    batch_root,
    check_claim,
    check_time,
    sign_intent,
    verify_intent,
)
from shared.trust.merkle import ProofRefused, merkle_proof

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
CLAIMS = [(DeviceId(f"gw-{number}"), 7 + number) for number in range(99)]
SIGNER = CryptoSigner.generate_ecdsa()
KEYS = [SIGNER.public_key]
INTENT = Intent(
    campaign=CampaignId("spring-fix"),
    path=PackagePath("fw/2.0.0/fw-2.0.0.img"),
    name="fw",
    version="2.0.0",
    kind="firmware",
    length_bytes=2**33,
    sha256="ab" * 32,
    issued=NOW,
    expires=NOW + timedelta(days=7),
    allow_downgrade=False,
    root=batch_root(CLAIMS),
)


def _resigned(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> str:
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(SIGNER)
    return json.dumps(envelope.to_dict())


def _payload() -> dict[str, object]:
    document = json.loads(sign_intent(INTENT, SIGNER))
    fields: dict[str, object] = json.loads(base64.b64decode(document["payload"]))
    return fields


@pytest.mark.parametrize("allow_downgrade", [True, False])
def test_intent_comes_out_as_it_was_signed(allow_downgrade: bool) -> None:
    intent = replace(INTENT, allow_downgrade=allow_downgrade)
    assert verify_intent(sign_intent(intent, SIGNER), KEYS) == intent


def test_any_of_the_named_keys_may_have_signed() -> None:
    other = CryptoSigner.generate_ecdsa().public_key
    assert verify_intent(sign_intent(INTENT, SIGNER), [other, *KEYS]) == INTENT


def test_signature_of_a_stranger_is_refused() -> None:
    with pytest.raises(IntentRefused):
        verify_intent(sign_intent(INTENT, CryptoSigner.generate_ecdsa()), KEYS)


def test_changed_payload_is_refused() -> None:
    document = json.loads(sign_intent(INTENT, SIGNER))
    payload = base64.b64decode(document["payload"]).replace(b"2.0.0", b"1.0.0")
    document["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(IntentRefused):
        verify_intent(json.dumps(document), KEYS)


def test_signature_over_something_else_is_no_intent() -> None:
    text = _resigned(json.dumps(_payload()).encode(), "application/vnd.in-toto+json")
    with pytest.raises(IntentRefused, match="type"):
        verify_intent(text, KEYS)


@pytest.mark.parametrize("field", sorted(_payload()))
def test_intent_without_one_of_its_fields_is_refused(field: str) -> None:
    fields = _payload()
    if field == "allow_downgrade":
        fields[field] = "yes"
        assert verify_intent(_resigned(json.dumps({**fields}).encode()), KEYS).allow_downgrade is False
    del fields[field]
    with pytest.raises(IntentRefused):
        verify_intent(_resigned(json.dumps(fields).encode()), KEYS)


def test_time_without_a_zone_is_refused() -> None:
    fields = {**_payload(), "expires": "2030-05-08T12:00:00"}
    with pytest.raises(IntentRefused, match="time zone"):
        verify_intent(_resigned(json.dumps(fields).encode()), KEYS)


@given(st.one_of(st.text(max_size=50), st.recursive(st.none() | st.integers(), st.lists).map(json.dumps)))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(IntentRefused):
        verify_intent(text, KEYS)


def test_every_device_of_the_batch_proves_its_claim_and_no_other() -> None:
    leaves = batch_leaves(CLAIMS)
    for index, (device, sequence) in enumerate(CLAIMS):
        proof = merkle_proof(leaves, index)
        check_claim(INTENT, device=device, sequence=sequence, proof=proof)
        with pytest.raises(ProofRefused):
            check_claim(INTENT, device=device, sequence=sequence + 1, proof=proof)
        with pytest.raises(ProofRefused):
            check_claim(INTENT, device=DeviceId("thief"), sequence=sequence, proof=proof)


def test_intent_dies_on_the_second() -> None:
    check_time(INTENT, now=INTENT.expires - timedelta(seconds=1))
    with pytest.raises(IntentRefused, match="expired"):
        check_time(INTENT, now=INTENT.expires)


def test_envelope_stays_small_enough_for_a_twin_string() -> None:
    assert len(sign_intent(INTENT, SIGNER)) < 1_500
