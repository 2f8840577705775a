"""Our index, 20,000 packages in a served container and two new roots on, verified by clients that are not ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from tuf.api.exceptions import RepositoryError
from tuf.ngclient import Updater

from shared.adapters.azure_index import AzureIndex
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.trust.authorities import Publisher, PublisherRule
from shared.trust.publishers import sign_package
from shared.trust.roots import replace_keys
from shared.trust.signers import KeyRole
from tests.support.owners import new_key, new_owners
from tests.support.repository import Repository, new_package

PROJECT = Path(__file__).parents[2]
PACKAGES = 20_000
CONTENT = b"the firmware itself"
TARGETS = "targets-of-20000"
PUBLISHER = new_key()


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published index: where it is served, and one of its packages with real content."""

    repository: Repository
    store: AzureIndex
    containers: BlobServiceClient
    package: Package

    @property
    def url(self) -> str:
        return f"{self.containers.url.rstrip('/')}/"


def signed(name: str, version: str, content: bytes) -> Package:
    """A package as it is in the field, with its publisher's signature."""
    digest = hashlib.sha256(content).hexdigest()
    package = replace(new_package(name, version, digest), length_bytes=len(content))
    return replace(package, publisher=sign_package(package, PUBLISHER))


@pytest.fixture(scope="module")
def published(storage_connection: str) -> Iterator[Published]:
    owners = new_owners()
    acme = Publisher(name="acme", keys=(PUBLISHER.public_key,))
    owners.trust(publishers=(acme,), publisher_rule=PublisherRule.REQUIRED)
    repository = Repository(bins=1_024, owners=owners)
    with BlobServiceClient.from_connection_string(storage_connection) as containers:
        for name in ("metadata", TARGETS):
            containers.create_container(name, public_access="container")
        store = AzureIndex(containers)
        package = signed("gateway-fw", "9.0.0", CONTENT)
        containers.get_blob_client(TARGETS, package.blob_name).upload_blob(CONTENT)
        others = (signed(f"fw-{n % 500}", f"1.{n // 500}.0", str(n).encode()) for n in range(PACKAGES - 1))
        _found(repository, store, [*others, package])
        yield Published(repository=repository, store=store, containers=containers, package=package)
        for name in ("metadata", TARGETS):
            containers.delete_container(name)


def _found(repository: Repository, store: AzureIndex, packages: list[Package]) -> None:
    """Found the index over all packages, then publish two new roots with other online keys."""
    policy, now, owners = repository.policy, repository.now, repository.owners
    for package in packages:
        repository.packages.create(
            RegisteredPackage(package=package, state=PackageState.PUBLISHED, accepted_at=repository.now)
        )
    publisher = repository.owner_publisher(store)
    publisher.publish(root=repository.root, targets=owners.sign_targets(1, policy, now=now), now=now)
    for role in (KeyRole.TIMESTAMP, KeyRole.SNAPSHOT):
        newest = repository.writer(store).newest_root()
        changes = replace_keys(newest, role, [repository.keys.add(role).public_key])
        publisher.publish(root=owners.next_root(newest.to_bytes(), changes, policy, now=now), now=now)


def python_client(published: Published, folder: Path) -> Updater:
    folder.mkdir(exist_ok=True)
    return Updater(
        str(folder),
        f"{published.url}metadata/",
        str(folder),
        f"{published.url}{TARGETS}/",
        bootstrap=published.repository.root,
    )


def run_tuf_js(published: Published, folder: Path, package: Package) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    assert node is not None
    metadata = folder / "metadata"
    if not metadata.exists():
        metadata.mkdir(parents=True)
        (metadata / "root.json").write_bytes(published.repository.root)
    script = PROJECT / "tests/assets/tuf_js_client.mjs"
    urls = (f"{published.url}metadata", f"{published.url}{TARGETS}")
    command = [node, str(script), str(metadata), *urls, package.path, str(folder / "content")]
    return subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True, timeout=60)


def publish_one_more(published: Published, version: str) -> Package:
    repository = published.repository
    package = signed("gateway-fw", version, CONTENT)
    published.containers.get_blob_client(TARGETS, package.blob_name).upload_blob(CONTENT)
    repository.publisher(store=published.store).publish(repository.accept(package), now=repository.now)
    return package


def test_python_tuf_finds_and_fetches(published: Published, tmp_path: Path) -> None:
    client = python_client(published, tmp_path)
    target = client.get_targetinfo(published.package.path)
    assert target is not None
    assert Path(client.download_target(target)).read_bytes() == CONTENT

    newer = publish_one_more(published, "9.1.0")
    assert python_client(published, tmp_path).get_targetinfo(newer.path) is not None


def test_tuf_js_finds_and_fetches(published: Published, tmp_path: Path) -> None:
    done = run_tuf_js(published, tmp_path, published.package)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "content").read_bytes() == CONTENT

    newer = publish_one_more(published, "9.2.0")
    assert run_tuf_js(published, tmp_path, newer).returncode == 0


def test_neither_believes_a_bin_that_was_changed(published: Published, tmp_path: Path) -> None:
    index = published.repository.writer(published.store).open().value
    name = index.bin_of(published.package.path)
    blob = published.containers.get_blob_client("metadata", f"{index.version_of(name)}.{name}.json")
    genuine = blob.download_blob().readall()
    try:
        blob.upload_blob(genuine.replace(b"gateway-fw", b"gateway-xx"), overwrite=True)
        with pytest.raises(RepositoryError):
            python_client(published, tmp_path / "python").get_targetinfo(published.package.path)
        refused = run_tuf_js(published, tmp_path / "js", published.package)
        assert refused.returncode == 1
        assert not (tmp_path / "js/content").exists()
    finally:
        blob.upload_blob(genuine, overwrite=True)


def test_a_device_fetches_little(published: Published, tmp_path: Path) -> None:
    """Every file is within what clients take, and an update costs a timestamp, a snapshot and a bin."""
    index = published.repository.writer(published.store).open().value
    name = index.bin_of(published.package.path)
    sizes = {
        file: published.containers.get_blob_client("metadata", file).get_blob_properties().size
        for file in (
            "timestamp.json",
            f"{index.snapshot.signed.version}.snapshot.json",
            f"{index.version_of(name)}.{name}.json",
        )
    }
    assert sum(sizes.values()) <= 250_000
