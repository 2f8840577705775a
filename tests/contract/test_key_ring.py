"""Every key ring does the same: in memory, in files (and in Key Vault)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner, Key

from shared.adapters.file_keys import FileKeyRing
from shared.ports.errors import KeyUnusable
from shared.ports.keys import KeyRing
from shared.trust.signers import KeyRole
from tests.support.memory_keys import MemoryKeyRing

type NewKey = Callable[[KeyRole], Key]


@pytest.fixture(params=["memory", "files"])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[KeyRing, NewKey]:
    """A ring, and how its owner makes a new key of a role."""
    if request.param == "memory":
        memory = MemoryKeyRing()
        return memory, lambda role: memory.add(role).public_key
    return FileKeyRing(tmp_path), lambda role: _new_file(tmp_path, role)


def _new_file(folder: Path, role: KeyRole) -> Key:
    signer = CryptoSigner.generate_ecdsa()
    number = len(list(folder.glob(f"{role}*.pem")))
    name = f"{role}-{number}.pem" if number else f"{role}.pem"
    (folder / name).write_bytes(signer.private_bytes)
    return signer.public_key


def test_signs_with_the_key_that_the_index_names_not_with_the_newest(ring: tuple[KeyRing, NewKey]) -> None:
    keys, new_key = ring
    old, new = new_key(KeyRole.SNAPSHOT), new_key(KeyRole.SNAPSHOT)
    assert keys.newest(KeyRole.SNAPSHOT).public_key == new

    signer = keys.signer(KeyRole.SNAPSHOT, [old])
    old.verify_signature(signer.sign(b"state"), b"state")
    assert keys.signer(KeyRole.SNAPSHOT, [new]).public_key == new


def test_a_key_of_another_role_is_not_taken(ring: tuple[KeyRing, NewKey]) -> None:
    keys, new_key = ring
    bins = new_key(KeyRole.BINS)
    assert keys.signer(KeyRole.BINS, [bins]).public_key == bins
    with pytest.raises(KeyUnusable, match="timestamp"):
        keys.signer(KeyRole.TIMESTAMP, [bins])


def test_an_empty_role_says_so(ring: tuple[KeyRing, NewKey]) -> None:
    keys, _ = ring
    assert keys.public_keys(KeyRole.SPECS) == []
    with pytest.raises(KeyUnusable, match="specs"):
        keys.newest(KeyRole.SPECS)


def test_public_keys_are_those_of_the_role_newest_first(ring: tuple[KeyRing, NewKey]) -> None:
    keys, new_key = ring
    old, new = new_key(KeyRole.SPECS), new_key(KeyRole.SPECS)
    new_key(KeyRole.BINS)
    assert keys.public_keys(KeyRole.SPECS) == [new, old]


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\n"], ids=["empty", "no private key"])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bins.pem").write_bytes(content)
    with pytest.raises(KeyUnusable, match=r"bins\.pem cannot be read"):
        FileKeyRing(tmp_path).newest(KeyRole.BINS)


def test_a_key_of_another_type_is_named_with_what_to_make(tmp_path: Path) -> None:
    key = generate_private_key(SECP384R1())
    (tmp_path / "bins.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match=r"bins\.pem.*secp384r1.*make an ECDSA P-256"):
        FileKeyRing(tmp_path).newest(KeyRole.BINS)
