"""The service's HTTP API, as commands call it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from shared.domain.errors import DomainError

TIMEOUT_S = 60.0

_UNSAID = {
    401: "the function key is missing or wrong: --function-key, or set KEY (with Entra ID: --token, or set TOKEN)",
    404: "there is no such route: the service's base URL (--api, or API) ends in /api",
}


class CallRefused(DomainError):
    """The service did not answer as asked; the message says what it answered."""

    code = "call_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service answered; ``document`` is its JSON object."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def is_ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status < 400

    @property
    def detail(self) -> str:
        """The sentence that says why it did not; the functions host itself refuses without one."""
        return str(self.document.get("detail") or _UNSAID.get(self.status, ""))


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
        answer = self.call("GET", path, parameters=parameters)
        if not answer.is_ok:
            raise CallRefused(f"{path}: {answer.status} {answer.detail}".rstrip())
        return answer.document

    def do(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that is answered where something was asked for, and done.

        Raises:
            CallRefused: It was not done, or nobody knows.
        """
        answer = self.call(method, path, body=json.dumps(body).encode() if body else None)
        if not answer.is_ok:
            raise CallRefused(f"{answer.status} {answer.detail}".rstrip())
        return answer.document

    def call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
        idempotency_key: str = "",
    ) -> Answer:
        """Whatever the service answers, refusals included.

        Raises:
            CallRefused: It does not answer, or not with a JSON object.
        """
        headers = {**self.headers, "Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        try:
            answer = requests.request(
                method,
                f"{self.url.rstrip('/')}/{path}",
                params=dict(parameters or {}),
                data=body,
                headers=headers,
                timeout=TIMEOUT_S,
            )
            document = answer.json() if answer.content else {}
        except requests.RequestException as error:
            raise CallRefused(f"{self.url} does not answer: {type(error).__name__}") from error
        if not isinstance(document, dict):
            raise CallRefused(f"{path}: {answer.status_code}, and no JSON object")
        return Answer(status=answer.status_code, document=document, headers=answer.headers)


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
