"""The service's HTTP API, as commands call it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from shared.domain.errors import DomainError

TIMEOUT_S = 60.0


class CallRefused(DomainError):
    """The service did not answer as asked; the message says what it answered."""

    code = "call_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceApi:
    """Where the service is, and the key or the token it takes.

    Attributes:
        url: Base URL, such as ``https://<app>.azurewebsites.net/api``.
        token: An Entra ID access token; empty where function keys serve.
    """

    url: str
    function_key: str = ""
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What shows the service who asks."""
        shown = {"x-functions-key": self.function_key, "Authorization": f"Bearer {self.token}" if self.token else ""}
        return {name: value for name, value in shown.items() if value}

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that a GET answers with.

        Raises:
            CallRefused: There was no such answer.
        """
        try:
            answer = requests.get(
                f"{self.url.rstrip('/')}/{path}",
                params=dict(parameters or {}),
                headers=self.headers,
                timeout=TIMEOUT_S,
            )
            document = answer.json()
        except requests.RequestException as error:
            raise CallRefused(f"{self.url} does not answer: {type(error).__name__}") from error
        if not answer.ok or not isinstance(document, dict):
            detail = document.get("detail", "") if isinstance(document, dict) else ""
            raise CallRefused(f"{path}: {answer.status_code} {detail}".rstrip())
        return document


def add_api_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which a command is told where the service is."""
    parser.add_argument("--api", default=os.environ.get("API", ""), help="base URL of the service; default: $API")
    parser.add_argument("--function-key", default=os.environ.get("KEY", ""), help="default: $KEY")
    parser.add_argument("--token", default=os.environ.get("TOKEN", ""), help="Entra ID access token; default: $TOKEN")


def open_api(arguments: argparse.Namespace) -> ServiceApi:
    """The API that the options name.

    Raises:
        CallRefused: They name none.
    """
    if not arguments.api:
        raise CallRefused("say where the service is: --api https://<app>.azurewebsites.net/api, or set API")
    return ServiceApi(url=arguments.api, function_key=arguments.function_key, token=arguments.token)
