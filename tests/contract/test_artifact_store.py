"""What every artifact store does: in memory, and over a real Azurite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import pytest
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_artifacts import RANGE_BYTES, AzureArtifacts, is_addressable
from shared.ports.errors import NotThere
from shared.ports.packages import ArtifactStore, IncomingArtifact, QuarantineLabel
from tests.support.memory_packages import MemoryArtifacts


class Bench(Protocol):
    """A store, and what an operator can do and see beside it."""

    store: ArtifactStore

    def drop(self, name: str, content: bytes, metadata: dict[str, str] | None = None) -> IncomingArtifact: ...

    def content(self, container: str, name: str) -> bytes | None: ...

    def metadata(self, container: str, name: str) -> dict[str, str]: ...


class MemoryBench:
    def __init__(self) -> None:
        self.store = self._memory = MemoryArtifacts()

    def drop(self, name: str, content: bytes, metadata: dict[str, str] | None = None) -> IncomingArtifact:
        return self._memory.drop(name, content, metadata, at=datetime.now(UTC))

    def content(self, container: str, name: str) -> bytes | None:
        blob = getattr(self._memory, container).get(name)
        return None if blob is None else bytes(blob.content)

    def metadata(self, container: str, name: str) -> dict[str, str]:
        return dict(getattr(self._memory, container)[name].metadata)


class AzuriteBench:
    """Names carry a prefix of the test's own, because all tests share the containers."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._service = service
        self.store = AzureArtifacts(service)
        for container in ("incoming", "packages", "quarantine"):
            if not service.get_container_client(container).exists():
                service.create_container(container)

    def drop(self, name: str, content: bytes, metadata: dict[str, str] | None = None) -> IncomingArtifact:
        blob = self._service.get_blob_client("incoming", name)
        blob.upload_blob(content, metadata=metadata, overwrite=True)
        artifact = self.store.find_incoming(name)
        assert artifact
        return artifact

    def content(self, container: str, name: str) -> bytes | None:
        blob = self._service.get_blob_client(container, name)
        return blob.download_blob().readall() if blob.exists() else None

    def metadata(self, container: str, name: str) -> dict[str, str]:
        return dict(self._service.get_blob_client(container, name).get_blob_properties().metadata)


@pytest.fixture(params=["memory", "azurite"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    with BlobServiceClient.from_connection_string(request.getfixturevalue("storage_connection")) as service:
        yield AzuriteBench(service)


@pytest.fixture
def name() -> str:
    return f"{secrets.token_hex(4)}/1.0.0/it's 100% #1 ü.img"


def test_what_was_dropped_is_found_with_its_metadata(bench: Bench, name: str) -> None:
    bench.drop(name, b"content", {"Name": "gateway", "compatibility": "{}"})
    artifact = bench.store.find_incoming(name)
    assert artifact is not None
    assert (artifact.name, artifact.size_bytes) == (name, 7)
    assert artifact.metadata == {"name": "gateway", "compatibility": "{}"}
    assert abs((datetime.now(UTC) - artifact.dropped_at).total_seconds()) < 60


@pytest.mark.parametrize("absent", ["nothing/here.img", "../packages/x.img", "a/../b.img", "a/./b.img"])
def test_what_is_not_there_is_not_found(bench: Bench, absent: str) -> None:
    assert bench.store.find_incoming(absent) is None


def test_listing_gives_the_same_as_finding(bench: Bench, name: str) -> None:
    bench.drop(name, b"content", {"version": "1"})
    listed = [artifact for artifact in bench.store.list_incoming() if artifact.name == name]
    assert listed == [bench.store.find_incoming(name)]


def test_content_streams_in_order_whatever_its_size(bench: Bench, name: str) -> None:
    content = secrets.token_bytes(3 * RANGE_BYTES + 17)
    assert b"".join(bench.store.stream(bench.drop(name, content))) == content


def test_nothing_streams_as_nothing(bench: Bench, name: str) -> None:
    assert b"".join(bench.store.stream(bench.drop(name, b""))) == b""


def test_stream_ends_when_other_bytes_take_the_place(bench: Bench, name: str) -> None:
    before = bench.drop(name, bytes(5 * RANGE_BYTES))
    stream = bench.store.stream(before)
    next(stream)
    bench.drop(name, b"other")
    with pytest.raises(NotThere):
        list(stream)


def test_stream_can_be_left_early(bench: Bench, name: str) -> None:
    stream = bench.store.stream(bench.drop(name, bytes(4 * RANGE_BYTES)))
    next(stream)
    stream.close()
    assert list(stream) == []


def test_copy_to_packages_may_be_done_twice(bench: Bench, name: str) -> None:
    artifact, target = bench.drop(name, b"content"), f"{name}.{secrets.token_hex(4)}"
    bench.store.copy_to_packages(artifact, target)
    bench.store.copy_to_packages(artifact, target)
    assert bench.content("packages", target) == b"content"
    assert bench.content("incoming", name) == b"content"


def test_finished_copy_needs_its_source_no_more(bench: Bench, name: str) -> None:
    artifact, target = bench.drop(name, b"content"), f"{name}.{secrets.token_hex(4)}"
    bench.store.copy_to_packages(artifact, target)
    bench.store.delete_incoming(artifact)
    bench.store.copy_to_packages(artifact, target)
    assert bench.content("packages", target) == b"content"


def test_other_bytes_than_those_looked_at_are_never_copied(bench: Bench, name: str) -> None:
    looked_at = bench.drop(name, b"good")
    bench.drop(name, b"evil")
    for copy in (
        lambda: bench.store.copy_to_packages(looked_at, f"{name}.copy"),
        lambda: bench.store.copy_to_quarantine(looked_at, QuarantineLabel(name=f"{name}.q", code="c", reason="r")),
    ):
        with pytest.raises(NotThere):
            copy()
    assert bench.content("packages", f"{name}.copy") is None
    assert bench.content("quarantine", f"{name}.q") is None


def test_gone_source_is_said_to_be_gone(bench: Bench, name: str) -> None:
    artifact = bench.drop(name, b"content")
    bench.store.delete_incoming(artifact)
    with pytest.raises(NotThere):
        bench.store.copy_to_packages(artifact, f"{name}.gone")
    with pytest.raises(NotThere):
        list(bench.store.stream(artifact))


def test_quarantined_copy_is_labelled(bench: Bench, name: str) -> None:
    artifact = bench.drop(name, b"content", {"name": "gateway"})
    label = QuarantineLabel(name=f"{name}.q", code="truncated", reason="it ends before its 'end'")
    bench.store.copy_to_quarantine(artifact, label)
    bench.store.copy_to_quarantine(artifact, label)
    assert bench.content("quarantine", label.name) == b"content"
    assert bench.metadata("quarantine", label.name) == {"code": "truncated", "reason": "it ends before its 'end'"}


def test_quarantine_note_is_replaced(bench: Bench, name: str) -> None:
    bench.store.write_quarantine_note(f"{name}.json", b"{}")
    bench.store.write_quarantine_note(f"{name}.json", b'{"code": "x"}')
    assert bench.content("quarantine", f"{name}.json") == b'{"code": "x"}'


def test_only_the_bytes_that_were_read_are_deleted(bench: Bench, name: str) -> None:
    looked_at = bench.drop(name, b"old")
    now_there = bench.drop(name, b"new")
    bench.store.delete_incoming(looked_at)
    assert bench.content("incoming", name) == b"new"
    bench.store.delete_incoming(now_there)
    bench.store.delete_incoming(replace(now_there, etag='"0x0"'))
    assert bench.content("incoming", name) is None


def test_names_with_dot_segments_never_reach_a_url() -> None:
    assert is_addressable("a/b..c/.hidden/..img")
    assert not any(is_addressable(name) for name in ("", "..", "a/../b", "./a", "a/.", "x" * 1025))
