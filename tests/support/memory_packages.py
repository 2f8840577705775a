"""The package side's ports in memory. They pass the same contract suites as the adapters over Azurite."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shared.domain.packages import PackageState, RegisteredPackage
from shared.ports.bus import OutgoingEvent, OutgoingMessage, Queue
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, Unavailable
from shared.ports.packages import CrashReport, IncomingArtifact, QuarantineLabel
from shared.ports.stored import Page, Stored
from shared.trust.index import TIMESTAMP_FILE, newest_versions
from shared.wire.package_rows import package_row_key

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

MAX_KEY_LENGTH = 512
"""A table key has 1 KiB of UTF-16 at the most."""


@dataclass
class Blob:
    """A blob: content, metadata, and an etag that rises with each write."""

    content: bytes
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    written_at: datetime = NOON


class MemoryArtifacts:
    """Containers ``incoming``, ``packages`` and ``quarantine``."""

    def __init__(self) -> None:
        self.incoming: dict[str, Blob] = {}
        self.packages: dict[str, Blob] = {}
        self.quarantine: dict[str, Blob] = {}
        self._etags = 0

    def drop(
        self, name: str, content: bytes, metadata: dict[str, str] | None = None, *, at: datetime = NOON
    ) -> IncomingArtifact:
        """Upload an artifact, over whatever lay there."""
        self.incoming[name] = Blob(content, self._next_etag(), dict(metadata or {}), at)
        return _artifact(name, self.incoming[name])

    def find_incoming(self, name: str) -> IncomingArtifact | None:
        blob = self.incoming.get(name)
        return None if blob is None else _artifact(name, blob)

    def list_incoming(self) -> Iterator[IncomingArtifact]:
        return iter([_artifact(name, blob) for name, blob in sorted(self.incoming.items())])

    def stream(self, artifact: IncomingArtifact) -> Generator[bytes]:
        content = self._same(artifact).content
        for offset in range(0, len(content), 65_536):
            self._same(artifact)
            yield content[offset : offset + 65_536]

    def copy_to_packages(self, artifact: IncomingArtifact, blob_name: str) -> None:
        self._copy(artifact, self.packages, blob_name, {})

    def copy_to_quarantine(self, artifact: IncomingArtifact, label: QuarantineLabel) -> None:
        label.reason.encode("ascii")
        self._copy(artifact, self.quarantine, label.name, {"code": label.code, "reason": label.reason})

    def write_quarantine_note(self, name: str, content: bytes) -> None:
        self.quarantine[name] = Blob(content, self._next_etag())

    def delete_incoming(self, artifact: IncomingArtifact) -> None:
        blob = self.incoming.get(artifact.name)
        if blob is not None and blob.etag == artifact.etag:
            del self.incoming[artifact.name]

    def _same(self, artifact: IncomingArtifact) -> Blob:
        blob = self.incoming.get(artifact.name)
        if blob is None or blob.etag != artifact.etag:
            raise NotThere(artifact.name)
        return blob

    def _copy(
        self, artifact: IncomingArtifact, container: dict[str, Blob], name: str, metadata: dict[str, str]
    ) -> None:
        if name not in container:
            container[name] = Blob(self._same(artifact).content, self._next_etag(), metadata)

    def _next_etag(self) -> str:
        self._etags += 1
        return f'"0x{self._etags:08X}"'


def _artifact(name: str, blob: Blob) -> IncomingArtifact:
    return IncomingArtifact(
        name=name,
        etag=blob.etag,
        size_bytes=len(blob.content),
        metadata={key.lower(): value for key, value in blob.metadata.items()},
        dropped_at=blob.written_at,
    )


class MemoryPackages:
    """Table ``packages``."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Stored[RegisteredPackage]] = {}
        self._etags = 0

    def create(self, package: RegisteredPackage) -> None:
        key = _key(package)
        if key in self.rows:
            raise AlreadyExists(str(key))
        self._put(package)

    def get(self, name: str, version: str) -> Stored[RegisteredPackage]:
        if len(package_row_key(name, version)) > MAX_KEY_LENGTH:
            raise Unavailable("Azure Table refuses the key")
        if (name, version) not in self.rows:
            raise NotThere(f"{name} {version}")
        return self.rows[name, version]

    def save(self, package: Stored[RegisteredPackage]) -> None:
        if self.get(*_key(package.value)).etag != package.etag:
            raise ConcurrentChange(str(_key(package.value)))
        self._put(package.value)

    def list_unsettled(self) -> Iterator[RegisteredPackage]:
        return iter([row.value for row in self.rows.values() if row.value.awaits_index])

    def list_page(self, *, size: int, continuation: str = "") -> Page[RegisteredPackage]:
        keys = sorted(key for key in self.rows if "\0".join(key) > continuation)[:size]
        last = "\0".join(keys[-1]) if len(keys) == size else ""
        return Page(items=tuple(self.rows[key].value for key in keys), continuation=last)

    def _put(self, package: RegisteredPackage) -> None:
        self._etags += 1
        self.rows[_key(package)] = Stored(value=package, etag=str(self._etags))


def _key(package: RegisteredPackage) -> tuple[str, str]:
    return package.package.name, package.package.version.text


class MemoryIndex:
    """Container ``metadata``. A lease ends with its block, or when ``expire_lease`` says its time is over."""

    def __init__(self) -> None:
        self.files: dict[str, Stored[bytes]] = {}
        self._etags = 0
        self._leases = 0
        self._held = ""
        self._lock = threading.Lock()

    def read(self, name: str) -> Stored[bytes]:
        if name not in self.files:
            raise NotThere(name)
        return self.files[name]

    def create(self, name: str, content: bytes) -> None:
        with self._lock:
            if name in self.files:
                raise AlreadyExists(name)
            self._put(name, content)

    def replace_timestamp(self, timestamp: Stored[bytes], lease: str) -> None:
        with self._lock:
            if lease != self._held or self.files[TIMESTAMP_FILE].etag != timestamp.etag:
                raise ConcurrentChange(TIMESTAMP_FILE)
            self._put(TIMESTAMP_FILE, timestamp.value)

    def newest_versions(self) -> Mapping[str, int]:
        return newest_versions(self.files)

    @contextmanager
    def hold(self) -> Iterator[str]:
        self.read(TIMESTAMP_FILE)
        with self._lock:
            if self._held:
                raise Unavailable("another publisher holds the index")
            self._leases += 1
            lease = self._held = f"lease-{self._leases}"
        try:
            yield lease
        finally:
            if self._held == lease:
                self._held = ""

    def expire_lease(self) -> None:
        """Let the time of a publisher that still works run out."""
        self._held = ""

    def _put(self, name: str, content: bytes) -> None:
        self._etags += 1
        self.files[name] = Stored(value=content, etag=f'"{self._etags}"')


@dataclass
class MemorySender:
    """Service Bus, sending side."""

    sent: list[tuple[Queue, OutgoingMessage]] = field(default_factory=list)

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        self.sent.extend((queue, message) for message in messages)


@dataclass
class MemoryEvents:
    """An Event Grid topic, publishing side."""

    published: list[OutgoingEvent] = field(default_factory=list)

    def publish(self, events: Sequence[OutgoingEvent]) -> None:
        self.published.extend(events)


@dataclass
class MemoryCrashReports:
    """The blob trigger's poison queue."""

    reports: list[CrashReport] = field(default_factory=list)

    def receive(self) -> Iterator[CrashReport]:
        return iter(list(self.reports))

    def remove(self, report: CrashReport) -> None:
        self.reports = [each for each in self.reports if each.receipt != report.receipt]


@dataclass
class MemoryParking:
    """Where unreadable messages go."""

    parked: list[tuple[str, bytes, str]] = field(default_factory=list)

    def park(self, *, source: str, body: bytes, code: str, reason: str) -> None:
        assert reason
        self.parked.append((source, body, code))


class MemoryLinks:
    """Links that say what they were asked for."""

    def link(self, blob_name: str, *, now: datetime, lifetime: timedelta) -> str:
        return f"https://links.example/{blob_name}?until={(now + lifetime).isoformat()}"


def settled(row: Stored[RegisteredPackage], state: PackageState) -> Stored[RegisteredPackage]:
    """The row with another state."""
    return replace(row, value=replace(row.value, state=state))
