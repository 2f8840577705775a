"""The agent's index client as a black box, driven by its three commands as the TUF conformance suite does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from shared.domain.packages import Package
from tests.support.agent import make_package
from tests.support.agent_service import PackageService, SignedIndex, new_signer

CONTENT = b"image 1.0.0"


class Client:
    """A folder, and the commands run in it."""

    def __init__(self, folder: Path, service: PackageService) -> None:
        self.folder, self.service = folder, service

    def run(self, *arguments: str) -> int:
        url = f"{self.service.url}/repository/metadata/"
        command = [sys.executable, "-m", "agent.index_cli", "--metadata-dir", str(self.folder), "--metadata-url", url]
        return subprocess.run([*command, *arguments], check=False, capture_output=True, timeout=60).returncode

    def init(self) -> int:
        root = self.folder.with_name("trusted.json")
        root.write_bytes(self.service.index.root)
        return self.run("init", str(root))

    def download(self, package: Package) -> int:
        storage = f"{self.service.url.removesuffix('/api')}/storage"
        targets = self.folder.with_name("targets")
        options = ("--target-name", package.path, "--target-base-url", storage, "--target-dir", str(targets))
        return self.run(*options, "download")

    def version(self, role: str) -> int:
        return int(Metadata.from_file(str(self.folder / f"{role}.json")).signed.version)

    def downloaded(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.with_name("targets").glob("*")]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with PackageService(SignedIndex()) as service:
        yield Client(tmp_path / "metadata", service)


def publish(client: Client, content: bytes = CONTENT, served: bytes | None = None) -> Package:
    package = client.service.index.add(make_package("engine", "1.0.0", content))
    client.service.contents[package.blob_name] = content if served is None else served
    return package


def test_init_refresh_and_download(client: Client) -> None:
    package = publish(client)
    assert client.init() == 0
    assert client.run("refresh") == 0
    assert client.version("timestamp") == client.service.index.version
    assert client.download(package) == 0
    assert client.downloaded() == [CONTENT]
    assert client.download(package) == 0


def test_nothing_is_trusted_before_init(client: Client) -> None:
    assert client.run("refresh") == 1
    (client.folder.with_name("no-root.json")).write_text("{}")
    assert client.run("init", str(client.folder.with_name("no-root.json"))) == 1


def test_rolled_back_timestamp_is_refused_and_what_was_known_stays(client: Client) -> None:
    old = dict(client.service.index.files)
    client.service.index.publish()
    assert client.init() == 0
    assert client.run("refresh") == 0
    known = client.version("timestamp")

    client.service.index.files = old
    assert client.run("refresh") == 1
    assert client.version("timestamp") == known


def test_expired_metadata_is_refused(client: Client) -> None:
    assert client.init() == 0
    client.service.index.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    client.service.index.publish()
    assert client.run("refresh") == 1


def test_metadata_of_another_key_is_refused(client: Client) -> None:
    assert client.init() == 0
    client.service.index.signers["snapshot"] = new_signer()
    client.service.index.publish()
    assert client.run("refresh") == 1


def test_rotated_roots_are_followed(client: Client) -> None:
    assert client.init() == 0
    for _ in range(3):
        client.service.index.rotate("timestamp", "snapshot", "targets")
    assert client.run("refresh") == 0
    assert client.version("root") == 4


def test_target_that_is_not_the_signed_one_is_not_kept(client: Client) -> None:
    package = publish(client, served=b"image 6.6.6")
    assert client.init() == 0
    assert client.download(package) == 1
    assert client.downloaded() == []


def test_target_that_the_index_does_not_name_is_not_fetched(client: Client) -> None:
    assert client.init() == 0
    assert client.download(make_package("engine", "9.9.9", b"x")) == 1
