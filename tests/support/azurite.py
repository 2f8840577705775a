"""A private Azurite for tests: ephemeral ports, nothing on disk, gone when the block ends."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from azure.core.exceptions import AzureError
from azure.data.tables import TableServiceClient

from tests.support.waiting import wait_until

SCRIPT = Path(__file__).parents[2] / "node_modules/azurite/dist/src/azurite.js"


@contextmanager
def private_azurite() -> Iterator[str]:
    """The connection string of a fresh Azurite."""
    ports = _free_ports(3)
    account, key = "local", base64.b64encode(secrets.token_bytes(32)).decode()
    with TemporaryDirectory() as folder:
        azurite = subprocess.Popen(
            _command(ports), cwd=folder, stdout=subprocess.DEVNULL, env=_environment(account, key)
        )
        try:
            connection = _connection_string(account, key, ports)
            wait_until(lambda: _answers(connection), timeout_s=30)
            yield connection
        finally:
            azurite.terminate()
            azurite.wait(timeout=10)


def _command(ports: list[int]) -> list[str]:
    flags = [
        flag
        for service, port in zip(("blob", "queue", "table"), ports, strict=True)
        for flag in (f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port))
    ]
    return [
        "node",
        str(SCRIPT),
        "--silent",
        "--disableTelemetry",
        "--skipApiVersionCheck",
        "--inMemoryPersistence",
        *flags,
    ]


def _environment(account: str, key: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{account}:{key}"}


def _connection_string(account: str, key: str, ports: list[int]) -> str:
    endpoints = ";".join(
        f"{service}Endpoint=http://127.0.0.1:{port}/{account}"
        for service, port in zip(("Blob", "Queue", "Table"), ports, strict=True)
    )
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{endpoints};"


def _answers(connection: str) -> bool:
    with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
        try:
            list(service.list_tables(results_per_page=1))
        except AzureError:
            return False
        return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in sockets]
    for server in sockets:
        server.close()
    return ports
