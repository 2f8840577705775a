"""Application Insights' ingestion endpoint, as far as the exporter speaks to it: it takes all and keeps it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A dependency of type InProc, which is what a function's span becomes."""

    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A log record: a row of AppTraces, or of AppExceptions."""

    text: str
    trace: str
    parent: str
    fields: Mapping[str, str]


class Ingestion:
    """What was sent so far."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._lock = Lock()

    def take(self, items: list[dict[str, Any]]) -> None:
        with self._lock:
            self._items += items

    def envelopes(self) -> list[dict[str, Any]]:
        """All of it as it came."""
        with self._lock:
            return list(self._items)

    def everything(self) -> str:
        """All of it as text."""
        with self._lock:
            return json.dumps(self._items)

    def spans(self, **ids: object) -> list[Span]:
        """The spans with these ids, in the order in which they began."""
        found = [item for item in self._of("RemoteDependencyData") if _has(item, ids)]
        return [_span(item) for item in sorted(found, key=lambda item: str(item["time"]))]

    def records(self, **ids: object) -> list[Record]:
        """The log records with these ids."""
        return [_record(item) for item in self._of("MessageData", "ExceptionData") if _has(item, ids)]

    def _of(self, *kinds: str) -> list[dict[str, Any]]:
        with self._lock:
            return [item for item in self._items if item["data"]["baseType"] in kinds]


@contextmanager
def ingestion() -> Iterator[tuple[Ingestion, dict[str, str]]]:
    """An endpoint on loopback, and the settings that send an app's telemetry there and nowhere else."""
    kept = Ingestion()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(kept))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    key = "00000000-0000-4000-8000-000000000000"
    settings = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={key};"
        f"IngestionEndpoint=http://127.0.0.1:{server.server_port}/",
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }
    try:
        yield kept, settings
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(kept: Ingestion) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            items = json.loads(text)
            kept.take(items)
            accepted = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
            answer = json.dumps(accepted).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: pytest shows what matters."""

    return Handler


def _properties(item: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = item["data"]["baseData"].get("properties") or {}
    return found


def _fields(item: Mapping[str, Any]) -> dict[str, str]:
    own = _properties(item).items()
    return {name.removeprefix("groundswell."): text for name, text in own if not name.startswith("_MS.")}


def _has(item: Mapping[str, Any], ids: Mapping[str, object]) -> bool:
    own = _properties(item)
    return all(own.get(f"groundswell.{name}") == str(content) for name, content in ids.items())


def _span(item: Mapping[str, Any]) -> Span:
    data, tags = item["data"]["baseData"], item["tags"]
    links = json.loads(_properties(item).get("_MS.links", "[]"))
    return Span(
        name=data["name"],
        trace=tags["ai.operation.id"],
        id=data["id"],
        parent=tags.get("ai.operation.parentId", ""),
        links=tuple((link["operation_Id"], link["id"]) for link in links),
        fields=_fields(item),
    )


def _record(item: Mapping[str, Any]) -> Record:
    data, tags = item["data"]["baseData"], item["tags"]
    text = data.get("message") or data["exceptions"][0]["message"]
    return Record(
        text=text,
        trace=tags.get("ai.operation.id", ""),
        parent=tags.get("ai.operation.parentId", ""),
        fields=_fields(item),
    )
