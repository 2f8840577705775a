"""A service that notes what it is asked, over real HTTP, and answers what the test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(kw_only=True)
class RecordedApi:
    """What was asked, in order: method, path and body; None for no body.

    Attributes:
        answer: Status and document that everybody gets.
    """

    url: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    answer: tuple[int, dict[str, Any]] = (200, {})


@contextmanager
def recorded_api() -> Iterator[RecordedApi]:
    """The service, until the test is over."""
    api = RecordedApi()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.asked.append((self.command, self.path, json.loads(content) if content else None))
            body = json.dumps(api.answer[1]).encode()
            self.send_response(api.answer[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        yield api
        server.shutdown()
        thread.join()
