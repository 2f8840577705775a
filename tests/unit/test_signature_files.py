"""The file beside an artifact: what can be read of it, and that everything else is one clear error."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, Signer

from shared.domain.packages import PackageKind
from shared.domain.versions import Version
from shared.trust.publishers import PAYLOAD_TYPE, sign_package, write_statement
from shared.trust.signature_files import MAX_BYTES, SignatureUnreadable, read_signature_file, write_signature_file
from tests.support.repository import new_package

ACME, NORTH = CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ed25519()
CREATED = datetime(2030, 5, 1, 12, tzinfo=UTC)
PACKAGE = replace(new_package(), created=CREATED)
FILE = write_signature_file(PACKAGE, ACME)
STATEMENT: Mapping[str, Any] = json.loads(write_statement(PACKAGE))


def _signed(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """A file whose signature is good, whatever it is over."""
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(ACME)
    return json.dumps(envelope.to_dict()).encode()


def _changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(FILE), **changes}).encode()


def _stating(**changes: Any) -> bytes:
    return _signed(json.dumps({**STATEMENT, **changes}, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize("signer", [ACME, NORTH], ids=["ecdsa", "ed25519"])
def test_what_is_written_is_read(signer: Signer) -> None:
    signed = read_signature_file(write_signature_file(PACKAGE, signer), created=CREATED)
    assert signed.publisher is not None
    assert signed.publisher.keyid == signer.public_key.keyid
    assert replace(signed, publisher=None) == PACKAGE


def test_debian_version_is_read_as_one() -> None:
    version = Version("1:2.4~rc1-3", PackageKind.DEBIAN.scheme)
    package = replace(PACKAGE, kind=PackageKind.DEBIAN, version=version, compatibility={})
    assert read_signature_file(write_signature_file(package, ACME), created=CREATED).version == version


def test_envelope_of_another_tool_is_read() -> None:
    """DSSE lets producers choose the standard or the URL-safe alphabet, and put fields of their own beside."""
    document = json.loads(FILE)
    url_safe = {"payload": document["payload"], "sig": document["signatures"][0]["sig"]}
    url_safe = {name: text.replace("+", "-").replace("/", "_") for name, text in url_safe.items()}
    keyid = document["signatures"][0]["keyid"]
    other = {"payload": url_safe["payload"], "signatures": [{"sig": url_safe["sig"], "keyid": keyid, "cert": "x"}]}
    content = json.dumps({**other, "payloadType": PAYLOAD_TYPE, "comment": "made elsewhere"}).encode()
    assert read_signature_file(content, created=CREATED) == read_signature_file(FILE, created=CREATED)


SIGNATURES = json.loads(FILE)["signatures"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"not JSON",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b"[" * 60_000,
        _changed(payload="***"),
        _changed(payload=7),
        _changed(payload=base64.b64encode(b"[1]").decode()),
        _changed(payload=base64.b64encode(b"[" * 30_000).decode()),
        _changed(signatures=[]),
        _changed(signatures=[*SIGNATURES, *SIGNATURES]),
        _changed(signatures={"keyid": "sig"}),
        _changed(signatures=[{**SIGNATURES[0], "sig": "***"}]),
        _changed(signatures=[{**SIGNATURES[0], "keyid": 7}]),
        _signed(write_statement(PACKAGE), "application/vnd.groundswell.intent.v1+json"),
    ],
    ids=range(18),
)
def test_what_is_no_envelope_with_one_signature_is_unreadable(content: bytes) -> None:
    with pytest.raises(SignatureUnreadable):
        read_signature_file(content, created=CREATED)


@pytest.mark.parametrize(
    "content",
    [
        _stating(name="no name"),
        _stating(name=""),
        _stating(version="one"),
        _stating(kind="tractor"),
        _stating(length=-1),
        _stating(length=True),
        _stating(length=4096.0),
        _stating(length="4096"),
        _stating(length=None),
        _stating(sha256="AB" * 32),
        _stating(sha256="ab"),
        _stating(sha256=None),
        _stating(compatibility=None),
        _stating(compatibility=["mk2"]),
        _stating(compatibility={"hardware": "mk2"}),
        _stating(compatibility={"hardware": [2]}),
        _stating(extra="field"),
        _signed(json.dumps({key: value for key, value in STATEMENT.items() if key != "kind"}).encode()),
        _signed(json.dumps(STATEMENT, indent=1).encode()),
        _signed(write_statement(PACKAGE) + b"\n"),
        _signed(write_statement(PACKAGE).replace(b'{"compat', b'{"name":"evil-fw","compat')),
    ],
    ids=range(21),
)
def test_statement_that_devices_could_not_write_again_is_unreadable(content: bytes) -> None:
    """Its signature is good, but the index keeps the signature alone: everybody must come to these very bytes."""
    with pytest.raises(SignatureUnreadable):
        read_signature_file(content, created=CREATED)


def test_file_larger_than_any_signature_is_not_even_parsed() -> None:
    with pytest.raises(SignatureUnreadable, match="65536 bytes"):
        read_signature_file(FILE + b" " * MAX_BYTES, created=CREATED)


def test_complaint_about_an_endless_type_is_short() -> None:
    with pytest.raises(SignatureUnreadable) as refused:
        read_signature_file(_changed(payloadType="x" * 50_000), created=CREATED)
    assert len(refused.value.message) < 500


@given(st.binary(max_size=300) | st.integers(0, len(FILE.rstrip()) - 1).map(lambda cut: FILE[:cut]))
@example(FILE[:-2])
def test_anything_else_is_unreadable_and_nothing_worse(content: bytes) -> None:
    with pytest.raises(SignatureUnreadable):
        read_signature_file(content, created=CREATED)


def test_signature_is_the_one_that_goes_into_the_index() -> None:
    """Ed25519 is deterministic, so the two can be compared."""
    signed = read_signature_file(write_signature_file(PACKAGE, NORTH), created=CREATED)
    assert signed.publisher == sign_package(PACKAGE, NORTH)
