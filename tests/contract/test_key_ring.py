"""Every key ring does the same: in memory, in files, and in a vault that the real Key Vault SDK speaks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner, Key

from shared.adapters.file_keys import FileKeyRing
from shared.adapters.key_vault import VaultKeyRing
from shared.ports.errors import KeyUnusable, Throttled, Unavailable
from shared.ports.keys import KeyRing
from shared.trust.signers import KeyRole
from tests.support.local_vault import LocalVault, running_vault
from tests.support.memory_keys import MemoryKeyRing

type NewKey = Callable[[KeyRole], Key]


@pytest.fixture(params=["memory", "files", "vault"])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[KeyRing, NewKey]:
    """A ring, and how its owner makes a new key of a role."""
    if request.param == "memory":
        memory = MemoryKeyRing()
        return memory, lambda role: memory.add(role).public_key
    if request.param == "files":
        return FileKeyRing(tmp_path), lambda role: _new_file(tmp_path, role)
    vault: LocalVault = request.getfixturevalue("vault")
    vault.empty()
    return vault.ring(), vault.new_key


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


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVault]:
    with running_vault(tmp_path_factory.mktemp("vault")) as vault:
        yield vault


@pytest.fixture
def emptied(vault: LocalVault) -> Iterator[LocalVault]:
    vault.empty()
    yield vault
    vault.cloud.control.clear_vault_faults()


def test_vault_signs_in_der_what_others_verify(emptied: LocalVault) -> None:
    key = emptied.new_key(KeyRole.INTENTS)
    before = emptied.signatures(KeyRole.INTENTS)
    for number in range(20):
        payload = f"intent {number}".encode()
        key.verify_signature(emptied.ring().newest(KeyRole.INTENTS).sign(payload), payload)
    assert emptied.signatures(KeyRole.INTENTS) == before + 20


def test_disabled_version_is_not_taken_and_says_so_where_it_was(emptied: LocalVault) -> None:
    stolen, ring = emptied.new_key(KeyRole.BINS), emptied.ring()
    signer = ring.signer(KeyRole.BINS, [stolen])
    emptied.disable(KeyRole.BINS)
    with pytest.raises(KeyUnusable, match="this version of the key bins is disabled"):
        signer.sign(b"bin")
    with pytest.raises(KeyUnusable, match="no enabled version of the key bins"):
        emptied.ring().signer(KeyRole.BINS, [stolen])
    with pytest.raises(KeyUnusable, match="no enabled key bins; make one"):
        emptied.ring().newest(KeyRole.BINS)


def test_vault_that_forbids_names_key_role_and_what_to_grant(emptied: LocalVault) -> None:
    emptied.new_key(KeyRole.TIMESTAMP)
    signer = emptied.ring().newest(KeyRole.TIMESTAMP)
    emptied.cloud.control.set_vault_fault(403, operation="sign")
    with pytest.raises(KeyUnusable, match="role Groundswell Key Signer on the key timestamp"):
        signer.sign(b"state")
    signer.sign(b"state")


def test_busy_vault_says_how_long_to_wait(emptied: LocalVault) -> None:
    emptied.new_key(KeyRole.SNAPSHOT)
    signer = emptied.ring().newest(KeyRole.SNAPSHOT)
    emptied.cloud.control.set_vault_fault(429, operation="sign", retry_after_s=7)
    with pytest.raises(Throttled) as busy:
        signer.sign(b"state")
    assert busy.value.retry_after_s == 7


def test_broken_vault_is_an_outage(emptied: LocalVault) -> None:
    emptied.new_key(KeyRole.SNAPSHOT)
    emptied.cloud.control.set_vault_fault(500, operation="list")
    with pytest.raises(Unavailable, match="snapshot"):
        emptied.ring().newest(KeyRole.SNAPSHOT)


def test_key_on_another_curve_is_named_with_what_to_make(emptied: LocalVault) -> None:
    emptied.owner.create_ec_key(KeyRole.SPECS, curve="P-384")
    with pytest.raises(KeyUnusable, match="the key specs in the vault is EC P-384, and ECDSA P-256 is needed"):
        emptied.ring().newest(KeyRole.SPECS)


def test_identity_that_nobody_knows_is_said(emptied: LocalVault) -> None:
    class Stranger:
        def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
            return AccessToken("not.a.token", 2**31)

    with pytest.raises(KeyUnusable, match="does not know who asks for the key bins"):
        VaultKeyRing(emptied.url, Stranger()).newest(KeyRole.BINS)


def test_keys_are_asked_for_once_a_minute(emptied: LocalVault) -> None:
    now = [0.0]
    ring = VaultKeyRing(emptied.url, emptied.credential(), clock=lambda: now[0])
    first = emptied.new_key(KeyRole.SPECS)
    assert ring.public_keys(KeyRole.SPECS) == [first]
    second = emptied.new_key(KeyRole.SPECS)
    assert ring.public_keys(KeyRole.SPECS) == [first]
    now[0] = 61.0
    assert ring.public_keys(KeyRole.SPECS) == [second, first]
