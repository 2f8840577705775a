"""``keys publish`` and ``keys export``: what needs the storage account and the online keys."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from azure.data.tables import TableServiceClient
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from cli.keys.files import Actions, add_policy, guarded, read_owned_file, read_policy, write_file
from cli.signing_keys import write_public_key
from shared.adapters.azure_index import METADATA, AzureIndex
from shared.adapters.azure_packages_table import AzurePackages
from shared.adapters.key_rings import open_key_ring
from shared.handlers.index_writing import IndexWriter
from shared.handlers.publish_owned import OwnerPublisher
from shared.handlers.rebuild_index import Rebuilt, rebuild_index
from shared.trust.ceremonies import CeremonyRefused
from shared.trust.signers import KeyRole


def add_actions(actions: Actions) -> None:
    """Register the actions."""
    publish = actions.add_parser("publish", help="publish signed root and targets files")
    publish.add_argument("files", type=Path, nargs="*", help="a root file, a targets file, or both")
    _add_service(publish)
    publish.add_argument("--rebuild", action="store_true", help="write every bin anew from the packages table")
    publish.set_defaults(run=guarded(_run_publish))
    export = actions.add_parser("export", help="write the public parts of the online keys, for owners to name")
    export.add_argument("--keys-uri", required=True, help="https://<vault>.vault.azure.net, or file:<folder>")
    export.add_argument("--out", type=Path, required=True, help="folder for <role>.pub")
    export.set_defaults(run=guarded(_run_export))


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--storage", required=True, help="connection string, or https://<account>.blob.core.windows.net"
    )
    parser.add_argument("--keys-uri", required=True, help="https://<vault>.vault.azure.net, or file:<folder>")
    parser.add_argument("--born-with", type=Path, required=True, help="the root that service and devices are born with")
    add_policy(parser)


def _run_publish(arguments: argparse.Namespace) -> int:
    root, targets = _sort_files(arguments.files)
    blobs, tables = _clients(arguments.storage)
    with blobs, tables:
        if not blobs.get_container_client(METADATA).exists():
            blobs.create_container(METADATA)
        packages = AzurePackages(tables.create_table_if_not_exists("packages"))
        writer = IndexWriter(
            store=AzureIndex(blobs),
            keys=open_key_ring(arguments.keys_uri, DefaultAzureCredential),
            expiries=read_policy(arguments).expiries,
            root=arguments.born_with.read_bytes(),
        )
        now = datetime.now(UTC)
        rebuilt = None
        if root is not None or targets is not None:
            rebuilt = OwnerPublisher(writer=writer, packages=packages).publish(root=root, targets=targets, now=now)
        if arguments.rebuild and rebuilt is None:
            rebuilt = rebuild_index(writer, packages, now=now)
        print(_tell(writer, rebuilt))
    return 0


def _sort_files(paths: list[Path]) -> tuple[bytes | None, bytes | None]:
    files = {str(read_owned_file(path).signed.type): path.read_bytes() for path in paths}
    if len(files) != len(paths):
        raise CeremonyRefused("give at most one root file and one targets file; roots are published one by one")
    return files.get("root"), files.get("targets")


def _clients(storage: str) -> tuple[BlobServiceClient, TableServiceClient]:
    if storage.startswith("https://"):
        credential = DefaultAzureCredential()
        table_url = storage.replace(".blob.", ".table.", 1)
        return BlobServiceClient(storage, credential), TableServiceClient(endpoint=table_url, credential=credential)
    return BlobServiceClient.from_connection_string(storage), TableServiceClient.from_connection_string(storage)


def _tell(writer: IndexWriter, rebuilt: Rebuilt | None) -> str:
    index = writer.open().value
    told = (
        f"The index is at root {index.root.signed.version}, targets {index.targets.signed.version}, "
        f"timestamp {index.timestamp.signed.version}."
    )
    if rebuilt is None:
        return told
    left = "".join(f"\n  left out, nobody believes its publisher: {path}" for path in rebuilt.left_out)
    return f"{told} All bins were written anew, with {rebuilt.packages} packages.{left}"


def _run_export(arguments: argparse.Namespace) -> int:
    ring = open_key_ring(arguments.keys_uri, DefaultAzureCredential)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for role in KeyRole:
        for number, key in enumerate(ring.public_keys(role)):
            path = arguments.out / (f"{role}.pub" if number == 0 else f"{role}-{number}.pub")
            write_file(path, write_public_key(key))
            print(f"{path}: {key.keyid[:12]}")
    return 0
