"""Keys in people's hands: PEM files, encrypted or not, and PKCS#11 tokens."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from getpass import getpass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, Signer

from shared.domain.errors import DomainError, TrustError
from shared.trust.signers import describe_public_key

HSM_SCHEME = "hsm:"
MODULE_VARIABLE = "PYKCS11LIB"

type Ask = Callable[[str], str]


class KeyFileInvalid(DomainError):
    """A key that cannot be used; the message names it and says what to do."""

    code = "key_file_invalid"


def add_key_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which a command is told its key."""
    parser.add_argument("--key", required=True, help="key file (PEM), or hsm:<id>[?label=<token>] for a PKCS#11 token")
    parser.add_argument("--passphrase-file", type=Path, help="its first line is the passphrase, or the PIN")


def load_signer(arguments: argparse.Namespace) -> Signer:
    """The signer that ``--key`` names; a passphrase or PIN is asked for where no file holds it.

    Raises:
        KeyFileInvalid: There is no such key, it is of the wrong type, or the passphrase is wrong.
    """
    ask = _ask_file(arguments.passphrase_file) if arguments.passphrase_file else ask_person
    if arguments.key.startswith(HSM_SCHEME):
        return load_token(arguments.key, ask)
    return load_key(Path(arguments.key), ask)


def load_key(path: Path, ask: Ask) -> Signer:
    """The signer in a PEM file.

    Raises:
        KeyFileInvalid: It holds no private key that is used here, or the passphrase is wrong.
    """
    content = _read(path)
    try:
        passphrase = ask(f"passphrase of {path}").encode() if b"ENCRYPTED" in content else None
        private_key = load_pem_private_key(content, passphrase)
        return CryptoSigner(private_key, describe_public_key(private_key.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileInvalid(
            f"{path} is no private key in PEM, or the passphrase is wrong; `groundswell keys new` makes one"
        ) from error
    except TrustError as error:
        raise KeyFileInvalid(f"{path}: {error.message}") from error


def load_public_key(path: Path) -> Key:
    """The key in a PEM file with a public key.

    Raises:
        KeyFileInvalid: It holds none that is used here.
    """
    try:
        return describe_public_key(load_pem_public_key(_read(path)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileInvalid(
            f"{path} is no public key in PEM; give the .pub file that `groundswell keys new` wrote"
        ) from error
    except TrustError as error:
        raise KeyFileInvalid(f"{path}: {error.message}") from error


def write_public_key(key: Key) -> bytes:
    """The key as a PEM file with a public key."""
    text = str(key.to_dict()["keyval"]["public"])
    if text.startswith("-----BEGIN"):
        return text.encode()
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def load_token(uri: str, ask: Ask) -> Signer:
    """The signer on a PKCS#11 token, through the module that ``PYKCS11LIB`` names.

    Raises:
        KeyFileInvalid: No module, no token or no such key; the message says which.
    """
    if MODULE_VARIABLE not in os.environ:
        raise KeyFileInvalid(f"{uri}: set {MODULE_VARIABLE} to the token's PKCS#11 module, such as libsofthsm2.so")
    number, _, query = uri.removeprefix(HSM_SCHEME).partition("?")
    label = query.removeprefix("label=") or None
    try:
        own_uri, key = HSMSigner.import_(int(number or HSMSigner.SCHEME_KEYID), label, ask)
        return Signer.from_priv_key_uri(own_uri, key, ask)
    except (ValueError, UnsupportedLibraryError, RuntimeError) as error:
        raise KeyFileInvalid(f"{uri}: the token does not give the key: {error or type(error).__name__}") from error


def ask_person(what: str) -> str:
    """What somebody types, unseen.

    Raises:
        KeyFileInvalid: Nobody is there to type.
    """
    try:
        return getpass(f"{what}: ")
    except EOFError as error:
        raise KeyFileInvalid(f"nobody is there to type the {what}: give --passphrase-file") from error


def _ask_file(path: Path) -> Ask:
    try:
        first_line = _read(path).decode().splitlines()[:1]
    except UnicodeDecodeError as error:
        raise KeyFileInvalid(f"{path} holds no passphrase: it is not UTF-8 text") from error
    return lambda _what: first_line[0] if first_line else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileInvalid(f"{path} cannot be read: {error.strerror}") from error
