"""Tables in Azurite for tests, with a count of the calls made to them."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableServiceClient


class CallCounter(RequestsTransport):
    """Sends requests and counts them by HTTP method: ``POST`` is a transaction, ``GET`` a read."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def send(self, request: Any, **options: Any) -> Any:
        self.calls[request.method] += 1
        return super().send(request, **options)

    @property
    def total(self) -> int:
        """All of them."""
        return self.calls.total()


@contextmanager
def new_table(connection: str, prefix: str, counter: CallCounter | None = None) -> Iterator[TableClient]:
    """A fresh table, dropped when the block ends."""
    options = {"transport": counter} if counter else {}
    with TableServiceClient.from_connection_string(connection, **options) as service:
        table = service.create_table(prefix + secrets.token_hex(6))
        if counter:
            counter.calls.clear()
        yield table
        table.delete_table()
