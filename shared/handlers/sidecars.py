"""Finding and removing what lies beside an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from shared.domain.artifacts.refusals import Refusal, refused
from shared.ports.errors import ConcurrentChange, NotThere
from shared.ports.packages import ArtifactStore, IncomingArtifact
from shared.wire.sidecars import DESCRIPTION, SIGNATURE

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecars:
    """What was beside an artifact when somebody looked; None where nothing was."""

    description: IncomingArtifact | None
    signature: IncomingArtifact | None

    def __iter__(self) -> Iterator[tuple[str, IncomingArtifact]]:
        """Each one there is, with its suffix."""
        for suffix, sidecar in ((DESCRIPTION, self.description), (SIGNATURE, self.signature)):
            if sidecar is not None:
                yield suffix, sidecar


def find_sidecars(store: ArtifactStore, artifact_name: str) -> Sidecars:
    """What lies beside the artifact now.

    Raises:
        PortError: The store cannot be read.
    """
    return Sidecars(
        description=store.find_incoming(artifact_name + DESCRIPTION),
        signature=store.find_incoming(artifact_name + SIGNATURE),
    )


def read_sidecar(store: ArtifactStore, sidecar: IncomingArtifact, refusal: Refusal) -> bytes:
    """Its content.

    Raises:
        ArtifactRefused: It is larger than any sidecar; with the given code.
        ConcurrentChange: It is gone, or other bytes lie there now. No event of its own would bring its artifact back,
            so that of the artifact must come again.
    """
    if sidecar.size_bytes > MAX_BYTES:
        raise refused(refusal, f"{sidecar.name} is larger than {MAX_BYTES} bytes")
    try:
        with closing(store.stream(sidecar)) as chunks:
            return b"".join(chunks)
    except NotThere as error:
        raise ConcurrentChange(f"{sidecar.name} changed while it was read") from error
