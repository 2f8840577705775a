"""An HTTPS server that refuses whatever it is asked, as Azure refuses an identity without a role."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from emulator.pki import open_authority


@dataclass
class Refusal:
    """What is answered."""

    status: int = 403
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RefusingAzure(ThreadingHTTPServer):
    """Attributes: refusal: what is answered from now on; asked: method and path of each request; ca: to be trusted."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        authority = open_authority(folder)
        self.socket = authority.server_context({"127.0.0.1"}).wrap_socket(self.socket, server_side=True)
        self.ca = authority.ca.certificate
        self.folder = folder
        self.refusal = Refusal()
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def as_storage(self, status: int, code: str) -> None:
        """Blob and Queue storage: the code stands in a header and in the body."""
        message = "This request is not authorized to perform this operation using this permission."
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        headers = {"x-ms-error-code": code, "Content-Type": "application/xml"}
        self.refusal = Refusal(status, body.encode(), headers)

    def as_tables(self, status: int, code: str) -> None:
        """Table storage."""
        message = '{"lang": "en-US", "value": "This request is not authorized to perform this operation."}'
        body = f'{{"odata.error": {{"code": "{code}", "message": {message}}}}}'
        self.refusal = Refusal(status, body.encode(), {"Content-Type": "application/json"})

    def as_event_grid(self, status: int) -> None:
        """An Event Grid topic."""
        body = b'{"error": {"code": "Forbidden", "message": "The principal does not have permission to send data."}}'
        self.refusal = Refusal(status, body, {"Content-Type": "application/json"})

    def as_hub(self, status: int, code: str) -> None:
        """An IoT Hub."""
        body = f'{{"Message": "ErrorCode:{code};Unauthorized", "ExceptionMessage": "Tracking ID:0"}}'
        self.refusal = Refusal(status, body.encode(), {"Content-Type": "application/json"})


class _Handler(BaseHTTPRequestHandler):
    server: RefusingAzure
    protocol_version = "HTTP/1.1"

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        refusal = self.server.refusal
        body = b"" if self.command == "HEAD" else refusal.body
        self.send_response(refusal.status)
        for name, value in refusal.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _refuse  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def refusing_azure(folder: Path) -> Iterator[RefusingAzure]:
    """A server while the block lasts."""
    with RefusingAzure(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
