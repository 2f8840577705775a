"""Creates what the configuration declares: containers and tables."""

import asyncio
from collections.abc import Iterable

from azure.core.exceptions import ResourceExistsError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient


async def make_containers(connection_string: str, names: Iterable[str]) -> None:
    """Create blob containers unless they exist."""
    async with BlobServiceClient.from_connection_string(connection_string) as blobs:
        await asyncio.gather(*(_make_container(blobs, name) for name in names))


async def _make_container(blobs: BlobServiceClient, name: str) -> None:
    try:
        await blobs.create_container(name)
    except ResourceExistsError:
        return


async def make_tables(connection_string: str, names: Iterable[str]) -> None:
    """Create tables unless they exist."""
    async with TableServiceClient.from_connection_string(connection_string) as tables:
        await asyncio.gather(*(tables.create_table_if_not_exists(name) for name in names))
