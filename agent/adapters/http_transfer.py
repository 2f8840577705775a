"""Fetching over HTTP: the ticket for a URL, the URL for bytes, from where the last attempt broke off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import requests

from agent.adapters.partial_file import PartialFile, digest_of
from agent.codes import Code
from agent.exchange import TICKET_HEADER, read_exchange
from agent.install.space import is_disk_full
from agent.ports import TransferBroken, TransferRefused, Wanted

_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransfer:
    """Implements ``agent.ports.Transfer``.

    Attributes:
        service_url: Base URL of the service, without a slash at the end.
        folder: Where contents are kept.
        timeout_s: Longest silence of a server.
    """

    service_url: str
    folder: Path
    http: requests.Session
    timeout_s: float = 30.0

    def attempt(self, wanted: Wanted, checkpoint: Callable[[], None]) -> None:
        """Exchange the ticket and fetch what is missing.

        Raises:
            TransferBroken, TransferPaused, TransferCancelled, TransferRefused: As ``agent.ports`` says.
        """
        if self.find_content(wanted.sha256) is not None:
            return
        self._make_room(wanted)
        part = PartialFile(self.folder, wanted.sha256)
        began_with_bytes = part.size_bytes
        try:
            url = self._exchange(wanted)
            self._fetch(url, wanted, part, checkpoint)
        except requests.RequestException as error:
            # Its text may hold the signed URL, which is nobody's business.
            raise TransferBroken(type(error).__name__) from error
        except OSError as error:
            if is_disk_full(error):
                part.discard()
                raise TransferRefused(Code.NO_SPACE, "the disk has no room for the package") from error
            raise TransferBroken(f"the content cannot be kept: {error.strerror}") from error
        if part.finish():
            return
        if began_with_bytes:
            raise TransferBroken("what was kept of an earlier attempt was damaged; starting over")
        raise TransferRefused(Code.DIGEST_MISMATCH, f"the content is not the signed {wanted.sha256}")

    def find_content(self, sha256: str) -> Path | None:
        """The complete content with that digest, verified anew; None where there is none."""
        path = PartialFile(self.folder, sha256).complete
        return path if path.exists() and digest_of(path) == sha256 else None

    def discard_all(self) -> None:
        """Delete all contents, complete or not."""
        for path in self.folder.glob("*"):
            path.unlink()

    def _make_room(self, wanted: Wanted) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*"):
            if not path.name.startswith(wanted.sha256):
                path.unlink()

    def _exchange(self, wanted: Wanted) -> str:
        url = f"{self.service_url}/downloads/{quote(wanted.path)}"
        headers = {TICKET_HEADER: wanted.ticket}
        answer = self.http.get(url, headers=headers, allow_redirects=False, timeout=self.timeout_s)
        return read_exchange(
            url,
            answer.status_code,
            location=answer.headers.get("Location"),
            retry_after=answer.headers.get("Retry-After"),
            now=datetime.now(UTC),
        )

    def _fetch(self, url: str, wanted: Wanted, part: PartialFile, checkpoint: Callable[[], None]) -> None:
        have = part.size_bytes
        if have == wanted.length_bytes:
            return
        headers = {"Accept-Encoding": "identity"}
        if have and part.etag:
            headers |= {"Range": f"bytes={have}-", "If-Range": part.etag}
        with self.http.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
            self._check_answer(answer, have, part)
            if answer.status_code == HTTPStatus.OK:
                part.start(answer.headers.get("ETag", ""))
            self._append(answer, wanted, part, checkpoint)
        if part.size_bytes < wanted.length_bytes:
            raise TransferBroken(f"the answer ended after {part.size_bytes} of {wanted.length_bytes} bytes")

    @staticmethod
    def _check_answer(answer: requests.Response, have: int, part: PartialFile) -> None:
        status = answer.status_code
        is_rest = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if status == HTTPStatus.OK or (status == HTTPStatus.PARTIAL_CONTENT and is_rest):
            return
        if status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            part.discard()
        raise TransferBroken(f"the storage answered {status}")

    @staticmethod
    def _append(answer: requests.Response, wanted: Wanted, part: PartialFile, checkpoint: Callable[[], None]) -> None:
        size_bytes = part.size_bytes
        with part.open() as file:
            for piece in answer.iter_content(_PIECE_BYTES):
                size_bytes += len(piece)
                if size_bytes > wanted.length_bytes:
                    file.close()
                    part.discard()
                    raise TransferRefused(
                        Code.DIGEST_MISMATCH, f"the content is longer than the signed {wanted.length_bytes} bytes"
                    )
                file.write(piece)
                checkpoint()
