"""A private Azurite for tests: ports of its own, nothing on disk, gone when the block ends."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from emulator.addresses import free_port
from emulator.identity import TokenIssuer
from emulator.pki import open_authority
from tests.support.waiting import wait_until

_MODULES = Path(__file__).parents[2] / "node_modules"
SCRIPT = _MODULES / "azurite/dist/src/azurite.js"

OAUTH_SCRIPT = _MODULES / "azurite-oauth/dist/src/azurite.js"
"""Of a later version: the one above knows no shared access signature of a user delegation key as our SDK makes it."""


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


class AppIdentity:
    """A credential with tokens of an issuer that nobody asks whether they are true; Azurite looks at the claims."""

    def __init__(self, folder: Path, *, audience: str = "https://storage.azure.com") -> None:
        self._issuer = TokenIssuer(folder / "identity.pem")
        self._audience = audience

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        lifetime_s = 3600
        token = self._issuer.issue("00000000-0000-0000-0000-0000000000aa", self._audience, lifetime_s=lifetime_s)
        return AccessToken(token, int(time.time()) + lifetime_s)


@dataclass(frozen=True, kw_only=True)
class OauthStorage:
    """Storage that is reached by identity over TLS, as in Azure.

    Attributes:
        blob_url: Its blob service.
        ca: File that a client must trust.
        log: File with a line for each request.
    """

    blob_url: str
    ca: Path
    folder: Path
    log: Path

    def blobs(self, **identity: str) -> BlobServiceClient:
        """A client with the app's identity, or one whose tokens are for another audience."""
        return BlobServiceClient(
            self.blob_url, AppIdentity(self.folder, **identity), connection_verify=str(self.ca), retry_total=0
        )

    def requests(self, part: str) -> int:
        """How many requests had this in their address."""
        return sum(part in line for line in self.log.read_text().splitlines())


@contextmanager
def oauth_azurite(folder: Path) -> Iterator[OauthStorage]:
    """A fresh Azurite behind TLS, with a certificate made for it, that believes bearer tokens."""
    ports, authority = _free_ports(3), open_authority(folder)
    pair = authority.server_certificate({"127.0.0.1"})
    account = "local"
    command = _command(ports, OAUTH_SCRIPT)
    command.remove("--silent")
    command += ["--oauth", "basic", "--cert", str(pair.certificate), "--key", str(pair.key)]
    url, log_path = f"https://127.0.0.1:{ports[0]}/{account}", folder / "azurite.log"
    storage = OauthStorage(blob_url=url, ca=authority.ca.certificate, folder=folder, log=log_path)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with storage.log.open("wb") as log:
        azurite = subprocess.Popen(command, cwd=folder, stdout=log, env=_environment(account, key))
        try:
            wait_until(lambda: storage.requests("Table service is successfully listening"), timeout_s=60)
            yield storage
        finally:
            azurite.terminate()
            azurite.wait(timeout=10)


def _command(ports: list[int], script: Path = SCRIPT) -> list[str]:
    flags = [
        flag
        for service, port in zip(("blob", "queue", "table"), ports, strict=True)
        for flag in (f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port))
    ]
    return [
        "node",
        str(script),
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
    ports: list[int] = []
    while len(ports) < count:
        ports.append(free_port(but=ports))
    return ports
