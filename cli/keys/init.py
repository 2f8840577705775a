"""``keys init``: key files for one machine, and an empty index signed with them, without a ceremony."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.metadata import Metadata, Root, Targets

from cli.keys.files import Actions, guarded, write_file
from shared.adapters.azure_index import METADATA, AzureIndex
from shared.adapters.azure_packages_table import AzurePackages
from shared.adapters.file_keys import FileKeyRing, load_key_file
from shared.domain.errors import DomainError
from shared.handlers.index_writing import IndexWriter
from shared.handlers.publish_owned import OwnerPublisher
from shared.ports.errors import NotThere
from shared.ports.keys import KeyRing
from shared.trust.authorities import Authorities, Publisher
from shared.trust.index import FIRST_ROOT_FILE, TIMESTAMP_FILE, IndexUntrusted, add_signature, file_name
from shared.trust.policy import TrustPolicy
from shared.trust.roots import propose_first_root
from shared.trust.signers import KeyRole
from shared.trust.targets_role import propose_targets

ROOT_FILE = "root.json"
PUBLISHER_KEY = "publisher"


def add_actions(actions: Actions) -> None:
    """Register ``init``."""
    init = actions.add_parser("init", help="make missing key files, and an empty index where there is none")
    init.add_argument("--dir", type=Path, required=True, help="folder for the key files and root.json")
    init.add_argument("--storage", required=True, help="connection string of the storage account")
    init.add_argument("--bins", type=int, default=16, help="number of hashed bins, a power of two (default 16)")
    init.add_argument("--root-keys", type=int, default=1, help="number of root keys (default 1)")
    init.add_argument("--threshold", type=int, default=1, help="root keys that must sign a root (default 1)")
    init.set_defaults(run=guarded(_run_init))


def init_repository(
    *,
    directory: Path,
    storage: str,
    bins: int,
    root_keys: int = 1,
    threshold: int = 1,
    online: KeyRing | None = None,
) -> Path:
    """Make what is missing of key files, index and ``root.json``; doing it again changes nothing.

    Args:
        storage: Connection string of the account whose container ``metadata`` holds the index.
        online: Where the online keys are; key files in the folder by default.

    Returns:
        The path of ``root.json``, which devices are born with.

    Raises:
        DomainError: The numbers do not fit, a key is unusable, or the index was made with other keys.
        PortError: The storage account does not do what it is asked.
    """
    policy = _policy(bins, threshold)
    online_files = [] if online is not None else list(KeyRole)
    names = [*_root_names(root_keys), KeyRole.TARGETS, PUBLISHER_KEY, *online_files]
    _make_key_files(directory, list(dict.fromkeys(names)))
    ring = online or FileKeyRing(directory)
    root = _make_root(directory, root_keys, ring, policy)
    with BlobServiceClient.from_connection_string(storage) as service:
        if not service.get_container_client(METADATA).exists():
            service.create_container(METADATA)
        _publish(AzureIndex(service), storage, directory, root, ring, policy)
    path = directory / ROOT_FILE
    write_file(path, root)
    return path


def _run_init(arguments: argparse.Namespace) -> int:
    path = init_repository(
        directory=arguments.dir,
        storage=arguments.storage,
        bins=arguments.bins,
        root_keys=arguments.root_keys,
        threshold=arguments.threshold,
    )
    print(
        f"The index stands. Devices are born with {path}; the service reads KEYS_URI=file:{arguments.dir.resolve()} "
        f"and ROOT_FILE={path.resolve()}"
    )
    return 0


def _policy(bins: int, threshold: int) -> TrustPolicy:
    try:
        return TrustPolicy(bins=bins, root_threshold=threshold)
    except ValueError as error:
        raise DomainError(str(error)) from error


def _publish(store: AzureIndex, storage: str, directory: Path, root: bytes, ring: KeyRing, policy: TrustPolicy) -> None:
    """Found the index; one that stands already must be of this root."""
    writer = IndexWriter(store=store, keys=ring, expiries=policy.expiries, root=root)
    try:
        store.read(TIMESTAMP_FILE)
        writer.open()
        return
    except NotThere:
        pass
    except IndexUntrusted as error:
        raise DomainError(
            f"the index in this storage was made with other keys ({error.message}); use the key folder it was made "
            "with, or empty the container `metadata`"
        ) from error
    targets = _make_targets(directory, store, ring, policy)
    with TableServiceClient.from_connection_string(storage) as tables:
        packages = AzurePackages(tables.create_table_if_not_exists("packages"))
        OwnerPublisher(writer=writer, packages=packages).publish(root=root, targets=targets, now=datetime.now(UTC))


def _make_root(directory: Path, root_keys: int, ring: KeyRing, policy: TrustPolicy) -> bytes:
    """The root that was made here before, or a new one."""
    kept = directory / FIRST_ROOT_FILE
    if kept.exists():
        return kept.read_bytes()
    holders = [load_key_file(directory / f"{name}.pem") for name in _root_names(root_keys)]
    keys: dict[str, list[Key]] = {
        "root": [holder.public_key for holder in holders],
        "targets": [load_key_file(directory / f"{KeyRole.TARGETS}.pem").public_key],
        "snapshot": [ring.newest(KeyRole.SNAPSHOT).public_key],
        "timestamp": [ring.newest(KeyRole.TIMESTAMP).public_key],
    }
    root = _signed(propose_first_root(keys, policy, now=datetime.now(UTC)), holders)
    write_file(kept, root)
    return root


def _make_targets(directory: Path, store: AzureIndex, ring: KeyRing, policy: TrustPolicy) -> bytes:
    """The first targets role; one that a founder who died left in the store is taken as it is."""
    try:
        return store.read(file_name(Targets.type, 1)).value
    except NotThere:
        pass
    publisher = load_key_file(directory / f"{PUBLISHER_KEY}.pem").public_key
    authorities = Authorities(
        intent_keys=(ring.newest(KeyRole.INTENTS).public_key,), publishers=(Publisher(name="local", keys=(publisher,)),)
    )
    bins = [ring.newest(KeyRole.BINS).public_key]
    role = propose_targets(1, bins, authorities, policy, now=datetime.now(UTC))
    return _signed(role, [load_key_file(directory / f"{KeyRole.TARGETS}.pem")])


def _signed(metadata: Metadata[Root] | Metadata[Targets], signers: Sequence[Signer]) -> bytes:
    for signer in signers:
        add_signature(metadata, signer)
    return metadata.to_bytes()


def _root_names(root_keys: int) -> list[str]:
    return [f"root-{number}" for number in range(1, root_keys + 1)]


def _make_key_files(directory: Path, names: Sequence[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in names:
        path = directory / f"{name}.pem"
        if not path.exists():
            write_file(path, CryptoSigner.generate_ecdsa().private_bytes, mode=0o600)
