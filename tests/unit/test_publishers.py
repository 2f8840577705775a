"""Publisher signatures: whose package it is, and what cannot be passed off as it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from securesystemslib.signer import CryptoSigner, Signer

from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind
from shared.domain.versions import Version
from shared.trust.authorities import Authorities, Publisher, PublisherRule
from shared.trust.publishers import PublisherRefused, check_publisher, sign_package
from tests.support.repository import new_package

ACME = CryptoSigner.generate_ecdsa()
NORTH = CryptoSigner.generate_ed25519()
AUTHORITIES = Authorities(
    intent_keys=(),
    publishers=(
        Publisher(name="acme", keys=(ACME.public_key,)),
        Publisher(name="north", keys=(NORTH.public_key,), packages=("pump-*",)),
    ),
)


def _signed(package: Package, signer: Signer = ACME) -> Package:
    return replace(package, publisher=sign_package(package, signer))


@pytest.mark.parametrize("signer", [ACME, NORTH], ids=["ecdsa", "ed25519"])
def test_a_package_signed_by_a_known_publisher_is_believed(signer: Signer) -> None:
    package = _signed(new_package(name="pump-fw"), signer)
    publisher = check_publisher(package, AUTHORITIES)
    assert publisher is not None
    assert signer.public_key in publisher.keys


def test_an_unsigned_package_is_refused_unless_signatures_are_optional() -> None:
    with pytest.raises(PublisherRefused) as refused:
        check_publisher(new_package(), AUTHORITIES)
    assert refused.value.code == "signature_missing"
    assert check_publisher(new_package(), replace(AUTHORITIES, publisher_rule=PublisherRule.OPTIONAL)) is None


def test_a_stranger_is_refused_even_where_signatures_are_optional() -> None:
    lenient = replace(AUTHORITIES, publisher_rule=PublisherRule.OPTIONAL)
    with pytest.raises(PublisherRefused) as refused:
        check_publisher(_signed(new_package(), CryptoSigner.generate_ecdsa()), lenient)
    assert refused.value.code == "publisher_unknown"


def test_a_publisher_may_sign_its_own_packages_only() -> None:
    assert check_publisher(_signed(new_package(name="pump-fw"), NORTH), AUTHORITIES) is not None
    with pytest.raises(PublisherRefused) as refused:
        check_publisher(_signed(new_package(name="gateway-fw"), NORTH), AUTHORITIES)
    assert refused.value.code == "publisher_not_allowed"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": Version("9.9.9")},
        {"name": package_name("other-fw")},
        {"kind": PackageKind.DEBIAN, "version": Version("1.0.0", PackageKind.DEBIAN.scheme)},
        {"compatibility": {}},
        {"length_bytes": 1},
        {"sha256": "cd" * 32},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_genuine_signature_does_not_fit_anything_else(changes: dict[str, object]) -> None:
    genuine = _signed(new_package())
    assert check_publisher(genuine, AUTHORITIES) is not None
    with pytest.raises(PublisherRefused) as refused:
        check_publisher(replace(genuine, **changes), AUTHORITIES)  # type: ignore[arg-type]
    assert refused.value.code == "signature_wrong"


def test_a_signature_that_is_no_signature_is_refused() -> None:
    genuine = _signed(new_package())
    assert genuine.publisher is not None
    with pytest.raises(PublisherRefused):
        check_publisher(replace(genuine, publisher=replace(genuine.publisher, signature="zz")), AUTHORITIES)
