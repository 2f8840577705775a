"""Somebody wants to be who they are not, with a token made up, borrowed, or kept too long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.adapters.jwks_keys import AGAIN_S, FRESH_S, KEPT_S, JwksKeys
from shared.domain.errors import Forbidden
from shared.domain.roles import Operation, Role, check_allowed
from shared.handlers.identify_caller import TokenDesk
from shared.ports.errors import Unavailable
from shared.trust.tokens import LEEWAY_S, TokenRefused, read_token_keys
from tests.support.entra import NOW, POLICY, Issuer


class Stage:
    """A desk that believes one issuer, and a clock."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.clock = 0.0
        self.keys = JwksKeys("https://login.example/keys", fetch=self.issuer.jwks, clock=lambda: self.clock)
        self.desk = TokenDesk(policy=POLICY, keys=self.keys)

    def show(self, token: str, *, later_s: float = 0) -> Any:
        return self.desk.identify(f"Bearer {token}", now=NOW + timedelta(seconds=later_s))

    def refuse(self, token: str, match: str, *, later_s: float = 0) -> TokenRefused:
        with pytest.raises(TokenRefused, match=match) as refused:
            self.show(token, later_s=later_s)
        assert refused.value.challenge.startswith('Bearer error="invalid_token"')
        return refused.value


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    caller = stage.show(stage.issuer.token("operator", "approver", "something-else"))
    assert (caller.label, caller.roles) == ("Ada <0000-ada>", {Role.OPERATOR, Role.APPROVER})
    return stage


def pieces(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_token_of_yesterday_is_refused(stage: Stage) -> None:
    token = stage.issuer.token("operator")
    assert stage.show(token, later_s=3600 + LEEWAY_S - 1)
    assert stage.refuse(token, "has expired", later_s=3600 + LEEWAY_S).code == "token_expired"


def test_a_token_of_tomorrow_is_refused(stage: Stage) -> None:
    assert stage.show(stage.issuer.token("operator", now=NOW + timedelta(seconds=LEEWAY_S)))
    stage.refuse(stage.issuer.token("operator", now=NOW + timedelta(seconds=LEEWAY_S + 1)), "not valid yet")


@pytest.mark.parametrize(
    ("claim", "value", "match"),
    [
        ("aud", "api-2", "another audience"),
        ("aud", ["api-2", "api-3"], "another audience"),
        ("iss", "https://login.example/t2/v2.0", "another issuer"),
        ("iss", "https://login.example/t1/v2.0/", "another issuer"),
        ("tid", "t2", "another tenant"),
        ("exp", None, "lacks the claim exp"),
        ("oid", None, "lacks the claim oid"),
        ("aud", None, "lacks the claim aud"),
        ("exp", "never", "no numbers"),
        ("exp", True, "no numbers"),
        ("azp", None, "no access token"),
        ("oid", "x> <0000-grace", "does not say who"),
        ("oid", 7, "does not say who"),
    ],
)
def test_a_genuine_token_for_something_else_is_refused(stage: Stage, claim: str, value: Any, match: str) -> None:
    stage.refuse(stage.issuer.token("operator", **{claim: value}), match)


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE"])
def test_a_token_without_a_signature_is_refused(stage: Stage, algorithm: str) -> None:
    token = pieces({"alg": algorithm, "kid": "key-1"}, stage.issuer.claims("admin")) + "."
    stage.refuse(token, "signature is not right|not a signed JWT")


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(stage: Stage, form: str) -> None:
    """HS256 with what everybody can fetch: the algorithm is the key's, not the token's."""
    public = stage.issuer.keys["key-1"].public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(stage.issuer.jwks()["keys"][0]).encode(),
    }[form]
    signed = pieces({"alg": "HS256", "kid": "key-1"}, stage.issuer.claims("admin"))
    mac = encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())
    stage.refuse(f"{signed}.{mac}", "signature is not right")


@pytest.mark.parametrize("header", ["jwk", "jku", "x5c"])
def test_a_token_that_brings_its_own_key_is_refused(stage: Stage, header: str) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "jku": "https://evil.example/keys", "x5c": ["MIIB"]}
    headers = {"kid": "key-1", header: brought[header]}
    token = jwt.encode(stage.issuer.claims("admin"), own, algorithm="RS256", headers=headers)
    stage.refuse(token, "signature is not right")


def test_a_token_with_changed_claims_is_refused(stage: Stage) -> None:
    head, _, signature = stage.issuer.token("reader").split(".")
    _, claims, _ = stage.issuer.token("admin").split(".")
    stage.refuse(f"{head}.{claims}.{signature}", "signature is not right")


def test_an_unknown_key_id_is_refused_and_cannot_be_used_to_hammer_the_issuer(stage: Stage) -> None:
    other = Issuer()
    other.keys["made-up"] = other.keys.pop("key-1")
    before = stage.issuer.fetches
    stage.clock += AGAIN_S
    for _ in range(100):
        stage.refuse(other.token("admin"), "key that its issuer does not have")
    assert stage.issuer.fetches == before + 1


def test_a_key_id_of_another_algorithm_is_refused(stage: Stage) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(stage.issuer.claims("admin"), own, algorithm="ES256", headers={"kid": "key-1"})
    stage.refuse(token, "signature is not right")


def test_a_new_key_is_believed_and_one_that_was_taken_back_is_not(stage: Stage) -> None:
    old = stage.issuer.token("operator")
    stage.issuer.roll()
    stage.clock += AGAIN_S
    assert stage.show(stage.issuer.token("operator"))
    assert stage.show(old), "the issuer still names the old key"
    del stage.issuer.keys["key-1"]
    stage.clock += FRESH_S
    stage.refuse(old, "key that its issuer does not have")


def test_an_issuer_that_does_not_answer_stops_nobody_for_a_day(stage: Stage) -> None:
    stage.issuer.is_down = True
    stage.clock += FRESH_S
    assert stage.show(stage.issuer.token("operator"))
    stage.clock += KEPT_S
    with pytest.raises(Unavailable):
        stage.show(stage.issuer.token("operator"))


def test_without_any_keys_nobody_is_believed() -> None:
    stage = Stage()
    stage.issuer.is_down = True
    with pytest.raises(Unavailable):
        stage.show(stage.issuer.token("operator"))


def test_weak_and_foreign_keys_are_not_taken_from_the_set() -> None:
    weak = Issuer()
    weak.keys["weak"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    entries = [*weak.jwks()["keys"], {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}, {"kty": "RSA", "kid": "broken"}]
    entries += [{**entries[0], "kid": "encrypts", "use": "enc"}, {**entries[0], "kid": "other", "alg": "RS512"}, "text"]
    assert set(read_token_keys({"keys": entries})) == {"key-1"}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRhOnB3", "x"])
def test_a_request_without_a_token_is_asked_for_one(stage: Stage, header: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        stage.desk.identify(header, now=NOW)
    assert (refused.value.code, refused.value.challenge) == ("token_missing", "Bearer")


@pytest.mark.parametrize("text", ["a.b.c", "....", "e30.e30.", "\x00", "x" * 20_000])
def test_text_that_is_no_token_is_refused(stage: Stage, text: str) -> None:
    stage.refuse(text, "not a signed JWT|names no key|too long")


def test_a_program_cannot_approve_whatever_its_roles(stage: Stage) -> None:
    program = stage.show(stage.issuer.token("admin", scp=None, name=None))
    check_allowed(program, Operation.OPERATE)
    with pytest.raises(Forbidden) as refused:
        check_allowed(program, Operation.APPROVE)
    assert refused.value.code == "human_required"


def test_a_name_cannot_pass_for_somebody_elses_label(stage: Stage) -> None:
    caller = stage.show(stage.issuer.token("approver", name="Grace <0000-grace>\n"))
    assert caller.label == "Grace 0000-grace <0000-ada>"
