"""Move an artifact into quarantine, with the reason beside it.

Order of writes: the copy, the copies of what lies beside it, the note, then the deletions. The name is made of the
artifact's path and etag: whoever does it again writes the same blobs, another artifact under the same path others.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from shared.domain.artifacts.refusals import Refusal
from shared.handlers.sidecars import find_sidecars
from shared.ports.errors import NotThere
from shared.ports.packages import ArtifactStore, IncomingArtifact, QuarantineLabel

NOTE_SUFFIX = ".reason.json"
# Blob names have at most 1,024 characters, all metadata of a blob 8 KiB (Blob service documentation).
_MAX_PATH_LENGTH = 900
_MAX_REASON_LENGTH = 2_000


def quarantine_artifact(
    artifact: IncomingArtifact, refusal: Refusal, reason: str, *, store: ArtifactStore, now: datetime
) -> str:
    """Move it and say why; the name it got below ``quarantine``. Bytes that are gone meanwhile need no quarantine.

    Raises:
        PortError: It may be half done; doing it again finishes it.
    """
    name = quarantine_name(artifact)
    label = QuarantineLabel(name=name, code=refusal.value, reason=_ascii(reason)[:_MAX_REASON_LENGTH])
    sidecars = find_sidecars(store, artifact.name)
    try:
        store.copy_to_quarantine(artifact, label)
    except NotThere:
        return name
    for suffix, sidecar in sidecars:
        _copy_sidecar(sidecar, suffix, label, store)
    store.write_quarantine_note(name + NOTE_SUFFIX, _note(artifact, refusal, reason, now))
    store.delete_incoming(artifact)
    for _, sidecar in sidecars:
        store.delete_incoming(sidecar)
    return name


def quarantine_name(artifact: IncomingArtifact) -> str:
    """``<path>.<8 hex digits of the etag's digest>``."""
    return f"{artifact.name[:_MAX_PATH_LENGTH]}.{hashlib.sha256(artifact.etag.encode()).hexdigest()[:8]}"


def _copy_sidecar(sidecar: IncomingArtifact, suffix: str, label: QuarantineLabel, store: ArtifactStore) -> None:
    try:
        store.copy_to_quarantine(
            sidecar, QuarantineLabel(name=label.name + suffix, code=label.code, reason=label.reason)
        )
    except NotThere:
        return  # Its owner took it back or wrote it anew meanwhile; a new one has an event of its own.


def _note(artifact: IncomingArtifact, refusal: Refusal, reason: str, now: datetime) -> bytes:
    document = {
        "code": refusal.value,
        "reason": reason,
        "advice": refusal.advice,
        "artifact": artifact.name,
        "size_bytes": artifact.size_bytes,
        "dropped_at": artifact.dropped_at.isoformat(),
        "quarantined_at": now.isoformat(),
    }
    return json.dumps(document, indent=2).encode()


def _ascii(text: str) -> str:
    """Blob metadata travels in HTTP headers."""
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
