"""What the blob trigger reads and writes: blob events, its own queue messages, path patterns."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from emulator.names import BLOB_QUEUE_PREFIX

POISON_QUEUE = "webjobs-blobtrigger-poison"
_SUBJECT = re.compile(r"^/blobServices/default/containers/([^/]+)/blobs/(.+)$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobMessage:
    """One blob waiting for one function."""

    function_name: str
    container: str
    blob: str
    etag: str

    def to_json(self) -> str:
        """The documented form, also of the poison queue: FunctionId, BlobType, ContainerName, …"""
        return json.dumps(
            {
                "Type": "BlobTrigger",
                "FunctionId": f"Host.Functions.{self.function_name}",
                "BlobType": "BlockBlob",
                "ContainerName": self.container,
                "BlobName": self.blob,
                "ETag": self.etag,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "BlobMessage":
        fields = json.loads(text)
        return cls(
            function_name=fields["FunctionId"].removeprefix("Host.Functions."),
            container=fields["ContainerName"],
            blob=fields["BlobName"],
            etag=fields["ETag"],
        )


class BlobPath:
    """A trigger path such as `incoming/{name}`; a parameter also takes slashes, as in Azure."""

    def __init__(self, path: str) -> None:
        self.container, _, pattern = path.strip("/").partition("/")
        parts = re.split(r"\{(\w+)\}", pattern or "{name}")
        names = iter(parts)
        expression = re.escape(next(names))
        for name in names:
            expression += f"(?P<{name}>.+?){re.escape(next(names))}"
        self._pattern = re.compile(f"^{expression}$", re.DOTALL)

    def match(self, container: str, blob: str) -> dict[str, str] | None:
        """The path's parameters, None where the blob does not match."""
        found = self._pattern.match(blob) if container == self.container else None
        return found.groupdict() if found else None


def read_blob_event(text: str) -> tuple[str, str, str]:
    """Container, blob name and ETag of a `Microsoft.Storage.BlobCreated` event.

    Raises:
        ValueError: the subject is not a blob's.
    """
    event: dict[str, Any] = json.loads(text)
    found = _SUBJECT.match(event["subject"])
    if found is None:
        raise ValueError(f"not a blob: {event['subject']!r}")
    return found[1], found[2], str(event["data"].get("eTag", ""))


def queue_of(function_name: str) -> str:
    """Name of the storage queue in which blobs wait for a function (3-63 of a-z, 0-9 and -)."""
    plain = re.sub(r"[^a-z0-9]+", "-", unquote(function_name).lower()).strip("-")
    return f"{BLOB_QUEUE_PREFIX}{plain}"[:63].rstrip("-")
