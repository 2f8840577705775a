"""``groundswell publisher sign``, as a publisher runs it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from cli.__main__ import main
from shared.trust.authorities import Authorities, Publisher
from shared.trust.publishers import check_publisher
from shared.trust.signature_files import read_signature_file
from shared.trust.signers import describe_public_key
from tests.support.artifacts import mcuboot_image


def _key_file(folder: Path, key: PrivateKeyTypes, passphrase: str = "") -> Path:
    path = folder / "key.pem"
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    return path


def _artifact(folder: Path) -> Path:
    path = folder / "fw.bin"
    path.write_bytes(mcuboot_image())
    return path


@pytest.mark.parametrize("passphrase", ["", "correct horse"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate])
def test_signature_is_one_that_the_service_believes(tmp_path: Path, make: object, passphrase: str) -> None:
    key = make()  # type: ignore[operator]
    artifact, key_file = _artifact(tmp_path), _key_file(tmp_path, key, passphrase)
    (tmp_path / "words").write_text(f"{passphrase}\n")
    options = ["--key", str(key_file), "--name", "gateway-fw", "--passphrase-file", str(tmp_path / "words")]

    assert main(["publisher", "sign", str(artifact), *options, "--compatibility", '{"hardware": "mk2"}']) == 0

    signed = read_signature_file((tmp_path / "fw.bin.sig").read_bytes(), created=datetime.now(UTC))
    acme = Publisher(name="acme", keys=(describe_public_key(key.public_key()),))
    assert check_publisher(signed, Authorities(intent_keys=(), publishers=(acme,))) == acme
    assert (signed.name, signed.version.text, signed.compatibility) == ("gateway-fw", "1.2.3", {"hardware": ("mk2",)})


def test_wrong_passphrase_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_file = _key_file(tmp_path, ec.generate_private_key(ec.SECP256R1()), "right")
    (tmp_path / "words").write_text("wrong")
    options = ["--key", str(key_file), "--passphrase-file", str(tmp_path / "words"), "--name", "gateway-fw"]
    assert main(["publisher", "sign", str(_artifact(tmp_path)), *options]) == 1
    assert "key.pem is no private key in PEM, or the passphrase is wrong" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
    ],
    ids=["rsa", "p384"],
)
def test_key_of_another_type_is_refused_with_what_to_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, complaint: str
) -> None:
    key_file = _key_file(tmp_path, make())  # type: ignore[operator]
    assert main(["publisher", "sign", str(_artifact(tmp_path)), "--key", str(key_file), "--name", "fw"]) == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert "make an ECDSA P-256 or an Ed25519 key" in error


def test_artifact_that_can_be_no_package_is_not_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = tmp_path / "notes.txt"
    artifact.write_text("hello")
    key_file = _key_file(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    assert main(["publisher", "sign", str(artifact), "--key", str(key_file)]) == 1
    assert "no kind of package" in capsys.readouterr().err
    assert not (tmp_path / "notes.txt.sig").exists()
