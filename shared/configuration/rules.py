"""What a setting may say. A rule takes the text and gives what is wrong with it, or an empty text.

Complaints are shown to anybody who asks for ``/health``: they repeat what was set only where it is too short to be a
key that somebody put into the wrong place.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from shared.trust.tickets import TicketKeys

type Rule = Callable[[str], str]

LOOPBACK = "http://127.0.0.1:"
_LONGEST_SHOWN = 12
_LEAST_KEY_BYTES = 32
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?")
_TICKET_KEYS = 'must be JSON: {"current": "<id>", "keys": {"<id>": "<hex>"}}'


def shown(text: str) -> str:
    """The text as a complaint may repeat it."""
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"what is set ({len(text)} characters)"


def anything(_: str) -> str:
    """Every text will do."""
    return ""


def whole(*, least: int = 1, most: int | None = None, instead: str = "") -> Rule:
    """A whole number within bounds.

    Args:
        instead: Says better than the bounds what is wanted.
    """
    bounds = f"above {least - 1}" if most is None else f"of {least} to {most}"
    wanted = instead or f"a whole number {bounds}"

    def rule(text: str) -> str:
        # A number of thousands of digits is no number that Python will read.
        fits = text.isascii() and text.isdecimal() and len(text) <= 18 and least <= int(text)
        return "" if fits and (most is None or int(text) <= most) else f"must be {wanted}, not {shown(text)}"

    return rule


def word_of(words: Collection[str]) -> Rule:
    """One of a few words."""
    listed = list(words)
    wanted = " or ".join(listed) if len(listed) == 2 else f"one of {', '.join(listed)}"
    return lambda text: "" if text in listed else f"must be {wanted}, not {shown(text)}"


def address(text: str) -> str:
    """An ``https://`` address; on this machine it may do without TLS."""
    if not text.startswith(("https://", LOOPBACK)):
        return f"must begin with https://, not {shown(text)}"
    return "" if _has_host(text) else f"must name a host, not {shown(text)}"


def host_name(text: str) -> str:
    """A bare host name."""
    return "" if _HOST_NAME.fullmatch(text) else f"must be a host name without https:// and path, not {shown(text)}"


def vault_or_folder(text: str) -> str:
    """``https://<vault>``, or ``file:<folder>``."""
    fits = text.startswith("file:") and text != "file:"
    if text.startswith("https://"):
        fits = _has_host(text) and urlsplit(text).path in ("", "/")
    return "" if fits else f"must begin with https:// (a Key Vault) or file: (a folder), not {shown(text)}"


def _has_host(text: str) -> bool:
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def connection_string(*fields: str, base64_key: str = "") -> Rule:
    """``Field=value;…`` with these fields, of which one may be a key in Base64."""

    def rule(text: str) -> str:
        found = dict(part.partition("=")[::2] for part in text.split(";"))
        if missing := [field for field in fields if not found.get(field)]:
            return f"is no connection string: {', '.join(missing)} is missing in it"
        if base64_key and not _is_base64(found.get(base64_key, "")):
            return f"is no connection string: {base64_key} is not Base64"
        return ""

    return rule


def storage_string(text: str) -> str:
    """A storage account's connection string."""
    if text == "UseDevelopmentStorage=true":
        return ""
    return connection_string("AccountName", "AccountKey", base64_key="AccountKey")(text)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def ticket_keys(text: str) -> str:
    """JSON with a current key, all of them at least 32 bytes."""
    if text.startswith("@Microsoft.KeyVault("):
        return "is a reference that the platform did not resolve: is the secret there, and may the app read it?"
    try:
        keys = read_ticket_keys(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return _TICKET_KEYS
    sound = keys.current in keys.secrets and all(len(secret) >= _LEAST_KEY_BYTES for secret in keys.secrets.values())
    return "" if sound else f"must hold its current key, and every key at least {_LEAST_KEY_BYTES} bytes"


def read_ticket_keys(text: str) -> TicketKeys:
    """The ticket keys in a text that ``ticket_keys`` has no complaint about."""
    document = json.loads(text)
    secrets = {str(key_id): bytes.fromhex(secret) for key_id, secret in document["keys"].items()}
    return TicketKeys(current=str(document["current"]), secrets=secrets)
