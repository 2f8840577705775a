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
    PublicFormat,
)

from cli.__main__ import main
from shared.trust.authorities import Authorities, Publisher
from shared.trust.publishers import check_publisher
from shared.trust.signature_files import read_signature_file
from shared.trust.signers import describe_public_key
from tests.support.artifacts import debian_package, mcuboot_image


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


def _sign(folder: Path, *options: str) -> int:
    """Sign an image with a new key; its public half lies in ``key.pub``."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "key.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    named = ["--key", str(_key_file(folder, key)), "--name", "gateway-fw", *options]
    return main(["publisher", "sign", str(_artifact(folder)), *named])


def _check(folder: Path) -> int:
    return main(["publisher", "check", str(folder / "fw.bin"), "--publisher-key", str(folder / "key.pub")])


def test_what_is_signed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _sign(tmp_path, "--compatibility", '{"hardware": ["mk2"]}') == 0
    size = len(mcuboot_image())
    assert f'fw.bin.sig: gateway-fw 1.2.3 (firmware), {size} bytes, for {{"hardware": ["mk2"]}}' in (
        capsys.readouterr().out
    )
    assert _sign(tmp_path) == 0
    assert "for every device" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{hardware: mk2}", '["mk2"]', '{"hardware": []}', '{"hard ware": "mk2"}'])
def test_compatibility_that_cannot_be_read_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert _sign(tmp_path, "--compatibility", text) == 1
    assert "compatibility" in capsys.readouterr().err
    assert not (tmp_path / "fw.bin.sig").exists()


def test_image_that_does_not_say_its_name_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _sign(tmp_path, "--name", "") == 1
    assert "what it is called" in capsys.readouterr().err


def test_debian_package_is_signed_as_what_its_control_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, key_file = tmp_path / "app.deb", _key_file(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    package.write_bytes(debian_package())
    assert main(["publisher", "sign", str(package), "--key", str(key_file)]) == 0
    assert "sensor-app 1:2.4.1-3 (deb)" in capsys.readouterr().out
    assert main(["publisher", "sign", str(package), "--key", str(key_file), "--name", "other-app"]) == 1
    assert "the control file says 'sensor-app'" in capsys.readouterr().err


def test_signature_can_be_looked_at_before_it_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sign(tmp_path)
    assert _check(tmp_path) == 0
    assert "gateway-fw 1.2.3" in capsys.readouterr().out

    (tmp_path / "fw.bin").write_bytes(mcuboot_image("1.2.4"))
    assert _check(tmp_path) == 1
    assert "other bytes" in capsys.readouterr().err


def test_signature_by_another_key_is_not_by_this_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sign(tmp_path)
    signature = (tmp_path / "fw.bin.sig").read_bytes()
    _sign(tmp_path)
    (tmp_path / "fw.bin.sig").write_bytes(signature)
    assert _check(tmp_path) == 1
    assert "no known publisher has the key" in capsys.readouterr().err


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["publisher", "sign", str(_artifact(tmp_path)), "--key", str(tmp_path / "none.pem"), "--name", "f"]) == 1
    )
    assert "none.pem cannot be read" in capsys.readouterr().err
    _sign(tmp_path)
    (tmp_path / "fw.bin.sig").unlink()
    assert _check(tmp_path) == 1
    assert "fw.bin.sig" in capsys.readouterr().err


def test_private_key_is_no_public_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sign(tmp_path)
    (tmp_path / "key.pub").write_bytes((tmp_path / "key.pem").read_bytes())
    assert _check(tmp_path) == 1
    assert "key.pub is no public key" in capsys.readouterr().err
