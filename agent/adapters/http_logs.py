"""Sending a log over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from agent.exchange import TICKET_HEADER
from agent.ports import TransferBroken


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLogUpload:
    """Implements ``agent.ports.LogUpload``.

    Attributes:
        service_url: Base URL of the service, without a slash at the end.
    """

    service_url: str
    http: requests.Session
    timeout_s: float = 30.0

    def upload(self, content: bytes, ticket: str) -> None:
        """Send it once.

        Raises:
            TransferBroken: It did not arrive, or was not taken.
        """
        headers = {TICKET_HEADER: ticket, "Content-Type": "text/plain; charset=utf-8"}
        try:
            answer = self.http.put(
                f"{self.service_url}/logs", data=content, headers=headers, timeout=self.timeout_s, allow_redirects=False
            )
        except requests.RequestException as error:
            raise TransferBroken(type(error).__name__) from error
        if not 200 <= answer.status_code < 300:
            raise TransferBroken(f"the service answered {answer.status_code}")
