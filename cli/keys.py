"""``python -m cli keys init``: key files for one machine, and an empty index signed with them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from azure.storage.blob import BlobServiceClient
from securesystemslib.signer import CryptoSigner

from shared.adapters.azure_index import AzureIndex
from shared.adapters.file_keys import FileKeyRing, load_key_file
from shared.domain.errors import DomainError
from shared.handlers.found_index import found_index
from shared.ports.errors import PortError
from shared.trust.authorities import Authorities, Publisher
from shared.trust.index import FIRST_ROOT_FILE
from shared.trust.index_birth import IndexOwners, OnlineSigners
from shared.trust.policy import TrustPolicy
from shared.trust.signers import KeyRole

ROOT_FILE = "root.json"
TARGETS_KEY = KeyRole.TARGETS.value
PUBLISHER_KEY = "publisher"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``keys`` and its subcommands."""
    keys = commands.add_parser("keys", help="make keys and the index they sign")
    actions = keys.add_subparsers(required=True, metavar="action")
    init = actions.add_parser("init", help="make missing key files, and an empty index where there is none")
    init.add_argument("--dir", type=Path, required=True, help="folder for the key files and root.json")
    init.add_argument("--storage", required=True, help="connection string of the storage account")
    init.add_argument("--bins", type=int, default=16, help="number of hashed bins, a power of two (default 16)")
    init.add_argument("--root-keys", type=int, default=1, help="number of root keys (default 1)")
    init.add_argument("--threshold", type=int, default=1, help="root keys that must sign a root (default 1)")
    init.set_defaults(run=_run_init)


def init_repository(*, directory: Path, storage: str, bins: int, root_keys: int = 1, threshold: int = 1) -> Path:
    """Make what is missing of key files, index and ``root.json``; doing it again changes nothing.

    Args:
        storage: Connection string of the account whose container ``metadata`` holds the index.

    Returns:
        The path of ``root.json``, which devices are born with.

    Raises:
        DomainError: The numbers do not fit, a key is unusable, or the index was made with other keys.
        PortError: The storage account does not do what it is asked.
    """
    if not 1 <= threshold <= root_keys:
        raise DomainError(f"the threshold must be between 1 and the number of root keys, {root_keys}")
    _make_key_files(directory, _key_names(root_keys))
    owners = _load_owners(directory, root_keys)
    with BlobServiceClient.from_connection_string(storage) as service:
        if not service.get_container_client("metadata").exists():
            service.create_container("metadata")
        store = AzureIndex(service)
        found_index(store, owners, FileKeyRing(directory), _policy(bins, threshold), now=datetime.now(UTC))
        root = store.read(FIRST_ROOT_FILE).value
    path = directory / ROOT_FILE
    path.write_bytes(root)
    return path


def _run_init(arguments: argparse.Namespace) -> int:
    try:
        path = init_repository(
            directory=arguments.dir,
            storage=arguments.storage,
            bins=arguments.bins,
            root_keys=arguments.root_keys,
            threshold=arguments.threshold,
        )
    except (DomainError, PortError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The index stands. Devices are born with {path}; the service reads KEYS_URI=file:{arguments.dir.resolve()}")
    return 0


def _policy(bins: int, threshold: int) -> TrustPolicy:
    try:
        return TrustPolicy(bins=bins, root_threshold=threshold)
    except ValueError as error:
        raise DomainError(str(error)) from error


def _key_names(root_keys: int) -> list[str]:
    return [*_root_names(root_keys), *KeyRole, PUBLISHER_KEY]


def _root_names(root_keys: int) -> list[str]:
    return [f"root-{number}" for number in range(1, root_keys + 1)]


def _make_key_files(directory: Path, names: Sequence[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in names:
        path = directory / f"{name}.pem"
        if not path.exists():
            _write_secret(path, CryptoSigner.generate_ecdsa().private_bytes)


def _write_secret(path: Path, content: bytes) -> None:
    """Written beside and renamed, so that a key file is whole or not there."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _load_owners(directory: Path, root_keys: int) -> IndexOwners:
    online = FileKeyRing(directory)
    return IndexOwners(
        root=tuple(load_key_file(directory / f"{name}.pem") for name in _root_names(root_keys)),
        targets=load_key_file(directory / f"{TARGETS_KEY}.pem"),
        online=OnlineSigners(
            bins=online.newest(KeyRole.BINS),
            snapshot=online.newest(KeyRole.SNAPSHOT),
            timestamp=online.newest(KeyRole.TIMESTAMP),
        ),
        authorities=Authorities(
            intent_keys=tuple(online.public_keys(KeyRole.INTENTS)), publishers=(_local_publisher(directory),)
        ),
    )


def _local_publisher(directory: Path) -> Publisher:
    return Publisher(name="local", keys=(load_key_file(directory / f"{PUBLISHER_KEY}.pem").public_key,))
