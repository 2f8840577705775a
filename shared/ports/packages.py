"""Artifacts, packages, the index and download links, seen from the handlers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.packages import RegisteredPackage
from shared.ports.stored import Page, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingArtifact:
    """What somebody dropped into ``incoming``, before anybody looked into it.

    Attributes:
        name: Blob name below the container.
        etag: Names these bytes; every later step is conditional on it.
        metadata: The blob's metadata, keys in lower case.
        dropped_at: When these bytes were written, aware UTC.
    """

    name: str
    etag: str
    size_bytes: int
    metadata: Mapping[str, str]
    dropped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLabel:
    """What is written on a quarantined artifact.

    Attributes:
        name: Blob name below ``quarantine``.
        code: A stable word for programs.
        reason: A sentence for people.
    """

    name: str
    code: str
    reason: str


class ArtifactStore(Protocol):
    """Containers ``incoming``, ``packages`` and ``quarantine``.

    Raises, for every method:
        PortError: The store cannot be reached; nothing is half done that a second call does not finish.
    """

    def find_incoming(self, name: str) -> IncomingArtifact | None:
        """What lies there now; None where nothing does, or where no blob can have that name."""

    def list_incoming(self) -> Iterator[IncomingArtifact]:
        """Everything in ``incoming``."""

    def stream(self, artifact: IncomingArtifact) -> Generator[bytes]:
        """The content in chunks of at most 8 MiB, a few of them in memory at a time; to be closed when left early.

        Raises:
            NotThere: It is gone, or other bytes lie there now.
        """

    def copy_to_packages(self, artifact: IncomingArtifact, blob_name: str) -> None:
        """Copy on the server side, exactly the bytes with the artifact's etag; a finished copy is left as it is.

        Raises:
            NotThere: The artifact is gone, or other bytes lie there now.
        """

    def copy_to_quarantine(self, artifact: IncomingArtifact, label: QuarantineLabel) -> None:
        """Copy on the server side, with code and reason as metadata; a finished copy is left as it is.

        Raises:
            NotThere: The artifact is gone, or other bytes lie there now.
        """

    def write_quarantine_note(self, name: str, content: bytes) -> None:
        """Write a JSON blob into ``quarantine``; writing it again replaces it."""

    def delete_incoming(self, artifact: IncomingArtifact) -> None:
        """Delete these bytes; quietly nothing where they are gone or others lie there."""


class PackageStore(Protocol):
    """Table ``packages``: one row per package, never deleted."""

    def create(self, package: RegisteredPackage) -> None:
        """Claim name and version for a package.

        Raises:
            AlreadyExists: Name and version are taken, by the same bytes or others.
        """

    def get(self, name: str, version: str) -> Stored[RegisteredPackage]:
        """The row of a package.

        Raises:
            NotThere: No such package.
        """

    def save(self, package: Stored[RegisteredPackage]) -> None:
        """Write the row if nobody else has since it was read.

        Raises:
            ConcurrentChange: Somebody has.
        """

    def list_unsettled(self) -> Iterator[RegisteredPackage]:
        """Packages whose ``awaits_index`` holds; the reads grow with their number, not with the table."""

    def list_page(self, *, size: int, continuation: str = "") -> Page[RegisteredPackage]:
        """Packages in the order of their names."""


class IndexStore(Protocol):
    """Container ``metadata``: the TUF repository. Nothing in it is ever overwritten but ``timestamp.json``."""

    def read(self, name: str) -> Stored[bytes]:
        """A metadata file.

        Raises:
            NotThere: No such file.
        """

    def create(self, name: str, content: bytes) -> None:
        """Write a file that must be new.

        Raises:
            AlreadyExists: It is there; its content may be another.
        """

    def replace_timestamp(self, timestamp: Stored[bytes], lease: str) -> None:
        """Make a new state of the index the one that clients see.

        Raises:
            ConcurrentChange: Another publisher was faster, or the lease has run out.
        """

    def newest_versions(self) -> Mapping[str, int]:
        """Role to the highest version stored of it, whoever wrote it; reads the names of all files."""

    def hold(self) -> AbstractContextManager[str]:
        """Be the only publisher inside the block; gives the lease.

        Raises:
            Unavailable: Another publisher kept it for longer than a dead one could.
            NotThere: There is no index yet.
        """


class DownloadLinks(Protocol):
    """URLs under which anybody who has them may read one blob for a short time."""

    def link(self, blob_name: str, *, now: datetime, lifetime: timedelta) -> str:
        """A read-only URL for a blob in ``packages``.

        Raises:
            PortError: The key it is signed with cannot be had now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """An entry of the blob trigger's poison queue: a blob over which the function crashed again and again.

    Attributes:
        receipt: What the entry is removed by.
        body: The entry as it came.
        container: Empty where the entry cannot be read.
    """

    receipt: str
    body: bytes
    container: str = ""
    blob_name: str = ""
    etag: str = ""


class CrashReports(Protocol):
    """Storage queue ``webjobs-blobtrigger-poison``, written by the functions host."""

    def receive(self) -> Iterator[CrashReport]:
        """The entries now visible, each hidden for some minutes."""

    def remove(self, report: CrashReport) -> None:
        """Take an entry off the queue; quietly nothing where it is gone."""
