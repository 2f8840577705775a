"""``groundswell token``: an access token of the local cloud's issuer, for whoever you want to be."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import requests

from cli.keys.files import guarded
from cli.local_app import PROJECT
from emulator.names import SETTINGS_FILE
from shared.domain.errors import DomainError
from shared.domain.roles import Role

TIMEOUT_S = 10.0


class NoToken(DomainError):
    """The issuer gives none; the message says what to do."""

    code = "no_token"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``token``."""
    token = commands.add_parser("token", help="print an access token of the local cloud")
    token.add_argument("--name", required=True, help="who you want to be, such as ada")
    token.add_argument(
        "--role", action="append", required=True, choices=[role.value for role in Role], help="repeatable"
    )
    token.add_argument("--state", type=Path, default=PROJECT / ".local/emulator", help="folder of the local cloud")
    token.set_defaults(run=guarded(_run))


def get_token(settings: Mapping[str, str], *, name: str, roles: list[str], **form: str) -> str:
    """An access token for that person.

    Args:
        settings: Of the local cloud.
        form: Further fields for its issuer.

    Raises:
        NoToken: The issuer does not answer, or refuses.
    """
    secret = {"grant_type": "client_credentials", "client_secret": settings["LOGIN_SECRET"]}
    fields = {"username": name, "roles": " ".join(roles), **secret, **form}
    try:
        answer = requests.post(settings["LOGIN_TOKEN_URL"], data=fields, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise NoToken(f"the local cloud gives no token ({type(error).__name__}); is it up?") from error
    return str(answer.json()["access_token"])


def _run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.state / "cloud" / SETTINGS_FILE
    if not path.exists():
        raise NoToken(f"no local cloud has its state in {arguments.state}; start it with: make emulator")
    print(get_token(json.loads(path.read_text()), name=arguments.name, roles=arguments.role))
    return 0
