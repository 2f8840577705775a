"""App settings as the host reads them: `%NAME%` in binding fields, and connection names."""

import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"%([^%\s]+)%")


class SettingMissingError(LookupError):
    """A binding names a setting that the app does not have. Add it to the app's settings."""


def resolve_settings(field: Any, settings: Mapping[str, str]) -> Any:
    """Replace each `%NAME%` in a binding field (text, or lists and dicts of it) by the setting NAME.

    Raises:
        SettingMissingError: a named setting does not exist.
    """
    if isinstance(field, str):
        return _PLACEHOLDER.sub(lambda match: _setting(match.group(1), settings), field)
    if isinstance(field, list):
        return [resolve_settings(item, settings) for item in field]
    if isinstance(field, dict):
        return {key: resolve_settings(item, settings) for key, item in field.items()}
    return field


def _setting(name: str, settings: Mapping[str, str]) -> str:
    try:
        return settings[name]
    except KeyError:
        raise SettingMissingError(f"'%{name}%' does not resolve to a value: no app setting {name}") from None


def connection_fields(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Find a connection by its name.

    Returns:
        ``{"connectionString": …}`` when setting `name` exists, otherwise all `name__…` settings with
        the prefix cut off, for example ``{"fullyQualifiedNamespace": …}``.

    Raises:
        SettingMissingError: neither form exists.
    """
    if name in settings:
        return {"connectionString": settings[name]}
    prefix = f"{name}__"
    found = {key.removeprefix(prefix): text for key, text in settings.items() if key.startswith(prefix)}
    if not found:
        raise SettingMissingError(
            f"connection '{name}' does not exist: set {name} to a connection string, or {prefix}… settings"
        )
    return found


def connection_string(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """`connection_fields` of a connection that this host needs a connection string for.

    Raises:
        SettingMissingError: it does not exist, or is one for an identity.
    """
    fields = connection_fields(name, settings)
    if "connectionString" not in fields:
        raise SettingMissingError(f"set {name} to a connection string: the local host has no identities ({name}__…)")
    return fields


def read_connection_string(text: str) -> dict[str, str]:
    """Split `Key=value;Key=value` into a dict. Keys keep their case; values may contain `=`."""
    pairs = (part.split("=", 1) for part in text.split(";") if "=" in part)
    return {key.strip(): value for key, value in pairs}
