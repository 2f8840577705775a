"""Online keys as PEM files in a folder, for one machine only; implements ``KeyRing``.

``<role>.pem``, and while a key is rotated ``<role>-<anything>.pem`` beside it, hold unencrypted PKCS #8 keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Key, Signer

from shared.domain.errors import TrustError
from shared.ports.errors import KeyUnusable
from shared.trust.signers import KeyRole, describe_public_key

FILE_SCHEME = "file:"


def load_key_file(path: Path) -> Signer:
    """The signer in a key file.

    Raises:
        KeyUnusable: The file cannot be read, or holds no unencrypted ECDSA P-256 or Ed25519 key.
    """
    try:
        private_key = load_pem_private_key(path.read_bytes(), None)
        return CryptoSigner(private_key, describe_public_key(private_key.public_key()))
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path} cannot be read as an unencrypted PEM key: {error}") from error
    except TrustError as error:
        raise KeyUnusable(f"{path}: {error.message}") from error


@dataclass(frozen=True, slots=True)
class FileKeyRing:
    """The key files of a folder, read when they are asked for."""

    folder: Path

    def signer(self, role: KeyRole, named: Sequence[Key]) -> Signer:
        """The signer for the first of these public keys that is here for the role."""
        here = {signer.public_key.keyid: signer for signer in self._signers(role)}
        for key in named:
            if key.keyid in here:
                return here[key.keyid]
        wanted = ", ".join(key.keyid[:12] for key in named) or "none"
        raise KeyUnusable(
            f"{self.folder} holds none of the {role} keys that the index names ({wanted}); put the right key file "
            f"there, or have the key owners name the one that is there"
        )

    def newest(self, role: KeyRole) -> Signer:
        """The signer for the role's newest key."""
        signers = self._signers(role)
        if not signers:
            raise KeyUnusable(f"{self.folder} holds no {role}.pem; `groundswell keys init` makes one")
        return signers[0]

    def public_keys(self, role: KeyRole) -> list[Key]:
        """The public parts of all keys of the role, the newest first."""
        return [signer.public_key for signer in self._signers(role)]

    def _signers(self, role: KeyRole) -> list[Signer]:
        files = [*self.folder.glob(f"{role}.pem"), *self.folder.glob(f"{role}-*.pem")]
        return [load_key_file(file) for file in sorted(files, key=_age, reverse=True)]


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name
