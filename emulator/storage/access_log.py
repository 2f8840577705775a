"""Blob events out of Azurite's access log: Azurite itself sends none.

A line reads ``127.0.0.1 - - [date] "PUT /account/container/blob?query HTTP/1.1" 201 -`` and is written
right after the answer, so an event follows the client's 201 by well under a millisecond.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, unquote

_LINE = re.compile(
    r'"(?P<method>PUT|DELETE) /(?P<account>[^/ ]+)/(?P<container>[^/? ]+)/(?P<blob>[^? ]+)'
    r'(?:\?(?P<query>\S*))? HTTP/[\d.]+" (?P<status>\d{3})'
)


class BlobApi(StrEnum):
    """`data.api` of a storage event."""

    PUT_BLOB = "PutBlob"
    PUT_BLOCK_LIST = "PutBlockList"
    DELETE_BLOB = "DeleteBlob"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobChange:
    """A blob that was written or deleted."""

    api: BlobApi
    container: str
    blob: str


def read_access(line: str) -> BlobChange | None:
    """The change that one access-log line reports, None for reads, failures and partial writes.

    Blocks, metadata, tags, leases and snapshots change no content and produce no event, as in Azure.
    """
    found = _LINE.search(line)
    if found is None:
        return None
    query = parse_qs(found["query"] or "", keep_blank_values=True)
    api = _api(found["method"], int(found["status"]), query)
    if api is None:
        return None
    return BlobChange(api=api, container=unquote(found["container"]), blob=unquote(found["blob"]))


def _api(method: str, status: int, query: dict[str, list[str]]) -> BlobApi | None:
    comp = query.get("comp", [""])[0]
    if method == "DELETE":
        return BlobApi.DELETE_BLOB if status == 202 and "snapshot" not in query else None
    if status not in {201, 202} or query.get("restype") == ["container"]:
        return None
    return {"": BlobApi.PUT_BLOB, "blocklist": BlobApi.PUT_BLOCK_LIST}.get(comp)
