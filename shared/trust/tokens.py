"""Access tokens of Entra ID: who signed them, for whom, and until when. Pure: the keys are the caller's to find.

Nothing in a token is believed before its signature: not even which algorithm to check it with, which is the key's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.types import Options

from shared.domain.errors import TrustError
from shared.domain.people import Person
from shared.domain.roles import Caller, Role

LEEWAY_S = 60.0
"""Clocks differ; Entra's own libraries allow five minutes."""

MAX_TOKEN = 16_384
_MIN_RSA_BITS = 2048
_SUBJECT = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_OPTIONS: Options = {
    "require": ["exp", "iss", "aud", "tid", "oid"],
    # Looked at here, against a time that is given.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}

type PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class TokenRefused(TrustError):
    """A token that is missing or must not be believed.

    Attributes:
        challenge: The header ``WWW-Authenticate`` of the answer (RFC 6750, section 3).
    """

    code = "token_refused"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        is_missing = self.code == "token_missing"
        self.challenge = "Bearer" if is_missing else f'Bearer error="invalid_token", error_description="{message}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """Whose tokens are believed.

    Attributes:
        issuer: The claim ``iss``, such as ``https://login.microsoftonline.com/<tenant>/v2.0``.
        audience: The claim ``aud``: the client id, or the application id URI, of this API.
        tenant: The claim ``tid``.
    """

    issuer: str
    audience: str
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A public key of the issuer, with the one algorithm it is for."""

    key_id: str
    algorithm: str
    key: PublicKey


def read_bearer(authorization: str) -> str:
    """The token in the header ``Authorization``.

    Raises:
        TokenRefused: There is none.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("the request needs an Entra ID access token: Authorization: Bearer …", code="token_missing")
    if len(token) > MAX_TOKEN:
        raise TokenRefused("the token is too long")
    return token.strip()


def read_key_id(token: str) -> str:
    """The id of the key that the token says it was signed with; it proves nothing.

    Raises:
        TokenRefused: It is no token, or names no key.
    """
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as error:
        raise TokenRefused("the token is not a signed JWT") from error
    if not isinstance(key_id, str) or not key_id:
        raise TokenRefused("the token names no key")
    return key_id


def read_token_keys(document: Mapping[str, Any]) -> dict[str, TokenKey]:
    """The usable signature keys of a JSON Web Key Set, by their ids; what is not usable is passed over."""
    found = (_read_key(entry) for entry in document.get("keys", []) if isinstance(entry, dict))
    return {key.key_id: key for key in found if key is not None}


def verify_token(token: str, key: TokenKey, policy: TokenPolicy, *, now: datetime) -> Caller:
    """Who the token is about.

    Raises:
        TokenRefused: Signature, issuer, audience, tenant or time is wrong, or it is no access token.
    """
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=policy.audience,
            issuer=policy.issuer,
            options=_OPTIONS,
        )
    except jwt.InvalidAudienceError as error:
        raise TokenRefused("the token is for another audience") from error
    except jwt.InvalidIssuerError as error:
        raise TokenRefused("the token is from another issuer") from error
    except jwt.MissingRequiredClaimError as error:
        raise TokenRefused(f"the token lacks the claim {error.claim}") from error
    except jwt.PyJWTError as error:
        raise TokenRefused("the token's signature is not right") from error
    _check_time(claims, now)
    if claims["tid"] != policy.tenant:
        raise TokenRefused("the token is of another tenant")
    if not any(isinstance(claims.get(name), str) for name in ("azp", "appid")):
        raise TokenRefused("this is no access token; an ID token is for the program that signed somebody in")
    return _caller(claims)


def _read_key(entry: Mapping[str, Any]) -> TokenKey | None:
    if entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
        return None
    try:
        key = jwt.PyJWK(dict(entry)).key
    except jwt.PyJWTError:
        return None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS and entry.get("alg", "RS256") == "RS256":
        return TokenKey(key_id=entry["kid"], algorithm="RS256", key=key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return TokenKey(key_id=entry["kid"], algorithm="ES256", key=key)
    return None


def _check_time(claims: Mapping[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    times = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    if any(isinstance(time, bool) or not isinstance(time, (int, float, type(None))) for time in times.values()):
        raise TokenRefused("the token's times are no numbers")
    expires, begins, issued = times["exp"], times["nbf"], times["iat"]
    if expires is None or moment >= expires + LEEWAY_S:
        raise TokenRefused("the token has expired", code="token_expired")
    if (begins is not None and moment < begins - LEEWAY_S) or (issued is not None and moment < issued - LEEWAY_S):
        raise TokenRefused("the token is not valid yet")


def _caller(claims: Mapping[str, Any]) -> Caller:
    subject, roles = claims["oid"], claims.get("roles", [])
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise TokenRefused("the token does not say who it is about")
    known = frozenset(Role(role) for role in roles if role in list(Role)) if isinstance(roles, list) else frozenset()
    names = (claims.get(name) for name in ("name", "preferred_username", "azp", "appid"))
    name = next((name for name in names if isinstance(name, str) and name.strip()), subject)
    # Tokens that a program gets for itself have no scope: nobody consented to one (Entra, access token claims).
    return Caller(person=Person(subject=subject, name=name), roles=known, is_human=isinstance(claims.get("scp"), str))
