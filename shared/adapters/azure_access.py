"""What to say when Azure refuses the app's identity: which role it needs on which resource.

The roles are those of ``infra/roles.json``, by way of ``needed_roles.json``; ``infra/`` is not deployed with the app.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from shared.ports.errors import AccessRefused

REFUSED = frozenset({401, 403})
_BATCH = "$batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something a role is given on.

    Attributes:
        kind: As in ``infra/roles.json``: container, table, queue, topic, key, iothub, account.
        about: A word of the roles that matter, where a kind has several for different deeds.
    """

    kind: str
    name: str = ""
    about: str = ""

    def __str__(self) -> str:
        return f"{_KINDS.get(self.kind, self.kind)} {self.name}".rstrip()


_KINDS = {"account": "storage account", "iothub": "IoT Hub"}


def explain_refusal(service: str, resource: Resource, *, status: int, code: str = "") -> AccessRefused:
    """The error that names role and resource.

    Args:
        service: As people call it.
        status: 401 where it does not know who asks, 403 where it does.
    """
    answer = f"{status} {code}".rstrip()
    if status == 401:
        why = "it does not know who asks: is AZURE_CLIENT_ID that of the app's identity, or is a key wrong"
        return AccessRefused(f"{service} refuses this app ({answer}): {why}? {_needs(resource)}")
    hint = "; a role just given takes minutes, a firewall may refuse as well, and so may a wrong key"
    return AccessRefused(f"{service} refuses this app ({answer}): {_needs(resource)}{hint}")


def explain_no_token(service: str, error: AzureError) -> AccessRefused:
    """The error where no token could be had, so that nothing was asked."""
    why = "there is no token for the app's identity: is it assigned to the app, and AZURE_CLIENT_ID its client id?"
    return AccessRefused(f"{service} was not asked ({type(error).__name__}): {why}")


def storage_refusal(error: AzureError, service: str, kind: str) -> AccessRefused | None:
    """The error for an answer of Blob, Table or Queue storage; None where it is about something else.

    Args:
        kind: What stands first in the path: container or table; account for what is asked of all of it.
    """
    if isinstance(error, ClientAuthenticationError) and error.response is None:
        return explain_no_token(service, error)
    if not isinstance(error, HttpResponseError) or error.status_code not in REFUSED or error.response is None:
        return None
    code = getattr(error, "error_code", None) or ""
    resource = _resource(error.response.request, kind)
    return explain_refusal(service, resource, status=error.status_code, code=str(getattr(code, "value", code)))


def _resource(request: Any, kind: str) -> Resource:
    for url in _urls(request):
        parts = urlsplit(url)
        if parse_qs(parts.query).get("comp") == ["userdelegationkey"]:
            return Resource(kind="account", about="Delegator")
        # Where the host is an address, as on one machine, the account's name stands first in the path.
        path = parts.path.lstrip("/").split("/")[_is_address(parts.hostname) :]
        name = unquote(path[0]).partition("(")[0] if path else ""
        if kind == "account":
            return Resource(kind="account", about="Queue")
        if name and name != _BATCH:
            return Resource(kind=kind, name=name)
    return Resource(kind=kind)


def _urls(request: Any) -> Iterator[str]:
    """The request's address, and those within a batch, which names its table there only."""
    yield str(request.url)
    for part in (getattr(request, "multipart_mixed_info", None) or ((),))[0]:
        yield str(part.url)


def _is_address(host: str | None) -> bool:
    try:
        return bool(host) and bool(ip_address(host or ""))
    except ValueError:
        return False


def _needs(resource: Resource) -> str:
    apps = {app: role for app, roles in _needed(resource).items() for role in roles if resource.about in role}
    if not apps:
        return f"no role on the {resource} is given to any app, see infra/roles.json"
    if len(roles := set(apps.values())) == 1:
        return f"its identity needs the role {roles.pop()} on the {resource}"
    each = ", ".join(f"{role} (app {app})" for app, role in sorted(apps.items()))
    return f"its identity needs a role on the {resource}: {each}"


def _needed(resource: Resource) -> Mapping[str, list[str]]:
    return _table().get(f"{resource.kind} {resource.name}".strip(), {})


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("needed_roles.json").read_bytes())
    return found
