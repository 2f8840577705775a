"""Reads one setting after the other and remembers what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from shared.configuration.listed import Setting
from shared.configuration.values import Connection, SettingsError, StorageConnection, Topic
from shared.domain.errors import DomainError


class SettingsReader:
    """The environment, by a list of settings.

    Args:
        app_folder: Where relative paths begin. With it, the files that settings name are looked into.
    """

    def __init__(
        self, listed: Iterable[Setting], environment: Mapping[str, str], app_folder: Path | None = None
    ) -> None:
        self._listed = {setting.name: setting for setting in listed}
        self._environment = environment
        self._app_folder = app_folder
        self._complaints: dict[str, None] = {}

    def complain(self, complaint: str) -> None:
        """Remember what is wrong; saying it twice tells nothing new."""
        self._complaints.setdefault(complaint)

    def raise_complaints(self) -> None:
        """Raises: SettingsError: Something is wrong."""
        if self._complaints:
            raise SettingsError("; ".join(self._complaints))

    def text(self, name: str) -> str:
        """What is set, or the default; an empty text where there is neither."""
        setting = self._listed[name]
        value = self._environment.get(name, "")
        value = value if value.strip() else ""
        if not value and setting.default is None:
            self.complain(f"{name} is missing")
        if value and (wrong := setting.rule(value)):
            self.complain(f"{name} {wrong}")
            value = ""
        return value or setting.default or ""

    def demanded(self, name: str, why: str) -> str:
        """What is set, which has to be there for a reason."""
        if not self._environment.get(name):
            self.complain(f"{name} is missing: {why}")
        return self.text(name)

    def whole(self, name: str) -> int:
        """A whole number; 0 where the default is empty."""
        return int(self.text(name) or 0)

    def file(self, name: str, read: Callable[[bytes], object]) -> str:
        """The path of a file, which must be there and readable where files are looked into."""
        text = self.text(name)
        if not text or self._app_folder is None:
            return text
        path = self._app_folder / text
        try:
            read(path.read_bytes())
        except OSError as error:
            self.complain(f"{name} names a file that cannot be read: {error.strerror}")
        except DomainError as error:
            self.complain(f"{name} names a file that cannot be used: {error.message}")
        return str(path)

    def folder(self, name: str, text: str) -> None:
        """Complain if the folder is not there, where files are looked into."""
        if self._app_folder is not None and not (self._app_folder / text).is_dir():
            self.complain(f"{name} names a folder that is not there")

    def connection(self, name: str) -> Connection:
        """A connection string or a host name."""
        string, [host] = self._either(name)
        return Connection(connection_string=string, host=host)

    def storage(self, name: str) -> StorageConnection:
        """A connection string or three addresses."""
        string, [blobs, tables, queues] = self._either(name)
        return StorageConnection(connection_string=string, blob_uri=blobs, table_uri=tables, queue_uri=queues)

    def topic(self, name: str) -> Topic:
        """An endpoint, with or without a key."""
        endpoint, key = self.text(f"{name}_ENDPOINT"), self.text(f"{name}_KEY")
        if endpoint.startswith("http:") and not key:
            self.complain(f"{name}_KEY is missing: without TLS {name}_ENDPOINT takes no identity")
        return Topic(endpoint=endpoint, key=key)

    def _either(self, name: str) -> tuple[str, list[str]]:
        """The connection string, or what stands for it; never both."""
        rules = self._listed[name].by_identity
        given = [each for each in rules if self._environment.get(each)]
        if self._environment.get(name):
            if given:
                self.complain(f"{name} and {', '.join(given)} contradict each other: keep one or the other")
            return self.text(name), [""] * len(rules)
        if missing := [each for each in rules if each not in given]:
            self.complain(f"{name} (a connection string) or {', '.join(missing)} is missing")
        for each in given:
            if wrong := rules[each](self._environment[each]):
                self.complain(f"{each} {wrong}")
        self._check_identity(name)
        return "", [self._environment.get(each, "") for each in rules]

    def _check_identity(self, name: str) -> None:
        """The host and our own clients must be the same identity: roles are given to one."""
        host, own = self._environment.get(f"{name}__clientId", ""), self._environment.get("AZURE_CLIENT_ID", "")
        if host and host != own:
            self.complain(f"{name}__clientId and AZURE_CLIENT_ID contradict each other: name the same identity in both")
        if host and self._environment.get(f"{name}__credential") != "managedidentity":
            self.complain(
                f"{name}__credential must be managedidentity: without it the host passes {name}__clientId over"
            )
