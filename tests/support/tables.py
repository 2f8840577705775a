"""Tables in Azurite for tests, with a count of the calls made to them."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.data.tables import TableClient, TableServiceClient


class CallCounter(SansIOHTTPPolicy[Any, Any]):
    """Counts requests by HTTP method: ``POST`` is a transaction, ``GET`` a read."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def on_request(self, request: PipelineRequest[Any]) -> None:
        self.calls[request.http_request.method] += 1

    @property
    def total(self) -> int:
        return self.calls.total()


@contextmanager
def new_table(connection: str, prefix: str, counter: CallCounter | None = None) -> Iterator[TableClient]:
    """A fresh table, dropped when the block ends."""
    policies = {"per_call_policies": [counter]} if counter else {}
    with TableServiceClient.from_connection_string(connection, **policies) as service:
        table = service.create_table(prefix + secrets.token_hex(6))
        if counter:
            counter.calls.clear()
        yield table
        table.delete_table()
