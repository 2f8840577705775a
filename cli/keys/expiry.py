"""``keys expiry``: what of the index expires when, and who must sign it then."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from cli.keys.files import Actions, guarded
from shared.adapters.azure_index import AzureIndex
from shared.adapters.file_keys import FileKeyRing
from shared.handlers.index_writing import IndexWriter
from shared.handlers.watch_index import OWNERS_WARNING
from shared.trust.policy import Expiries

_SIGNERS = {
    "root": "the root's owners",
    "targets": "the targets role's owners",
    "snapshot": "the service",
    "timestamp": "the service",
}


def add_actions(actions: Actions) -> None:
    """Register the action."""
    expiry = actions.add_parser("expiry", help="what expires when, and who must sign it then")
    expiry.add_argument(
        "--storage", required=True, help="connection string, or https://<account>.blob.core.windows.net"
    )
    expiry.add_argument("--born-with", type=Path, required=True, help="the root that service and devices are born with")
    expiry.set_defaults(run=guarded(_run_expiry))


def _run_expiry(arguments: argparse.Namespace) -> int:
    storage: str = arguments.storage
    is_url = storage.startswith("https://")
    blobs = (
        BlobServiceClient(storage, DefaultAzureCredential())
        if is_url
        else BlobServiceClient.from_connection_string(storage)
    )
    with blobs:
        # Nothing is signed here: the writer is used for reading only, and needs no keys.
        keys = FileKeyRing(Path("no keys"))
        root = arguments.born_with.read_bytes()
        writer = IndexWriter(store=AzureIndex(blobs), keys=keys, expiries=Expiries(), root=root)
        print("\n".join(_tell(writer, datetime.now(UTC))))
    return 0


def _tell(writer: IndexWriter, now: datetime) -> Iterator[str]:
    index = writer.open().value
    ends = {
        "root": index.root.signed.expires,
        "targets": index.targets.signed.expires,
        "snapshot": index.snapshot.signed.expires,
        "timestamp": index.timestamp.signed.expires,
    }
    for role, expires in sorted(ends.items(), key=lambda item: item[1]):
        yield _line(role, expires, _SIGNERS[role], now)
    bins = [(writer.read_bin(index, name).signed.expires, name) for name in index.bins]
    if bins:
        expires, name = min(bins)
        yield _line(f"{len(bins)} bins, {name} first", expires, "the service", now)


def _line(what: str, expires: datetime, who: str, now: datetime) -> str:
    days = (expires - now) // timedelta(days=1)
    urgent = "  <- now" if expires - now < OWNERS_WARNING and "owners" in who else ""
    return f"{expires:%Y-%m-%d %H:%M} UTC  in {days:4d} days  {what}: signed by {who}{urgent}"
