"""The agent's configuration file: JSON, or TOML where its name ends so."""

from __future__ import annotations

import json
import ssl
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from agent.enrolment.settings import DpsConfig
from agent.failure_log import MAX_BYTES
from shared.domain.errors import InvalidId
from shared.domain.ids import DeviceId, device_id
from shared.domain.rollouts import RolloutState
from shared.domain.windows import WindowInvalid, find_zone


class ConfigInvalid(Exception):
    """The configuration cannot be used; the text names file and fields."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubConfig(_Part):
    """How to speak to the hub."""

    retry_initial_s: float = Field(default=1.0, gt=0)
    retry_longest_s: float = Field(default=120.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0)
    # The hub ends connections that ask for more (azure-iot-device, keep_alive).
    keep_alive_s: int = Field(default=60, gt=0, le=1740)


class DownloadConfig(_Part):
    """How to fetch packages and the index."""

    attempts: int = Field(default=10, gt=0)
    give_up_after_s: float = Field(default=6 * 3600.0, gt=0)
    index_attempts: int = Field(default=100, gt=0)
    retry_initial_s: float = Field(default=1.0, gt=0)
    retry_longest_s: float = Field(default=300.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0)


class HealthConfig(_Part):
    """How to tell that a new slot works."""

    command: tuple[str, ...] = ()
    timeout_s: float = Field(default=60.0, gt=0)


class RestartConfig(_Part):
    """How to restart. ``exec``: the process runs itself anew; ``command``: the device is restarted by a command."""

    mode: Literal["exec", "command"] = "exec"
    command: tuple[str, ...] = ()
    boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id")
    farewell_s: float = Field(default=5.0, ge=0)

    @model_validator(mode="after")
    def _command_goes_with_its_mode(self) -> RestartConfig:
        if (self.mode == "command") != bool(self.command):
            raise ValueError("mode 'command' needs a command, and mode 'exec' takes none")
        return self


class LimitsConfig(_Part):
    """When to stop trying."""

    installs: int = Field(default=3, gt=0)
    boots: int = Field(default=3, gt=0)


class DebianConfig(_Part):
    """How to run dpkg."""

    options: tuple[str, ...] = ()
    timeout_s: float = Field(default=600.0, gt=0)


class AgentConfig(_Part):
    """Everything an agent is told. Relative paths are relative to the file."""

    connection_string: SecretStr | None = None
    dps: DpsConfig | None = None
    certificate_file: Path | None = None
    certificate_key_file: Path | None = None
    hub_ca_file: Path | None = None
    service_url: str = Field(pattern=r"^https?://\S+$")
    service_ca_file: Path | None = None
    root_file: Path
    state_dir: Path
    slots_dir: Path | None = None
    properties: dict[str, str] = {}
    time_zone: str = "UTC"
    installed: dict[str, str] = {}
    report_states: frozenset[RolloutState] = frozenset(
        {RolloutState.DOWNLOADING, RolloutState.INSTALLING, RolloutState.RESTARTING}
    )
    hub: HubConfig = HubConfig()
    download: DownloadConfig = DownloadConfig()
    health: HealthConfig = HealthConfig()
    restart: RestartConfig = RestartConfig()
    limits: LimitsConfig = LimitsConfig()
    deb: DebianConfig = DebianConfig()
    failure_log_bytes: int = Field(default=0, ge=0, le=MAX_BYTES)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def slots(self) -> Path:
        """The folder of the slots."""
        return self.slots_dir or self.state_dir / "slots"

    @property
    def device_id(self) -> DeviceId | None:
        """The device in the connection string; None where the device is told by DPS who it is."""
        fields = self._connection_fields()
        return device_id(fields["DeviceId"]) if fields else None

    @property
    def certificate(self) -> tuple[Path, Path] | None:
        """The device's certificate and its key; None where it signs in with a symmetric key."""
        if self.certificate_file is None or self.certificate_key_file is None:
            return None
        return self.certificate_file, self.certificate_key_file

    def _connection_fields(self) -> dict[str, str]:
        if self.connection_string is None:
            return {}
        return parse_connection_string(self.connection_string.get_secret_value())

    @model_validator(mode="after")
    def _time_zone_is_known(self) -> AgentConfig:
        try:
            find_zone(self.time_zone)
        except WindowInvalid as error:
            raise ValueError(f"time_{error.message}") from error
        return self

    @model_validator(mode="after")
    def _device_signs_in_one_way(self) -> AgentConfig:
        if bool(self.certificate_file) != bool(self.certificate_key_file):
            raise ValueError("certificate_file and certificate_key_file go together")
        if self.certificate_file and self._connection_fields().get("SharedAccessKey"):
            raise ValueError("connection_string has a SharedAccessKey, and certificate_file is there, too: take one")
        if self.dps and bool(self.certificate_file) == bool(self.dps.symmetric_key):
            raise ValueError("dps takes either a symmetric_key or the certificate in certificate_file")
        return self

    @model_validator(mode="after")
    def _connection_string_names_a_device(self) -> AgentConfig:
        if (self.connection_string is None) == (self.dps is None):
            raise ValueError("take either connection_string or dps")
        if self.connection_string is None:
            return self
        fields = self._connection_fields()
        missing = [key for key in ("HostName", "DeviceId") if not fields.get(key)]
        if not self.certificate_file and not fields.get("SharedAccessKey"):
            missing.append("SharedAccessKey")
        if missing:
            raise ValueError(f"connection_string lacks {', '.join(missing)}")
        try:
            device_id(fields["DeviceId"])
        except InvalidId as error:
            raise ValueError(f"connection_string: {error.message}") from error
        return self


def parse_connection_string(text: str) -> dict[str, str]:
    """The fields of a device connection string; empty for one that has none."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key: value for key, separator, value in pairs if separator}


def read_config(path: Path) -> AgentConfig:
    """The configuration in a file.

    Raises:
        ConfigInvalid: It cannot be read; the text names every field at fault.
    """
    try:
        text = path.read_text()
        document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        config = AgentConfig.model_validate(document)
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigInvalid("\n".join(_complaints(path, error))) from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: neither JSON nor TOML: {error}") from error
    return _anchor(config, path.parent.resolve())


def find_missing(config: AgentConfig) -> list[str]:
    """A complaint for every file the configuration names that is not there."""
    named = {
        "root_file": config.root_file,
        "hub_ca_file": config.hub_ca_file,
        "service_ca_file": config.service_ca_file,
        "certificate_file": config.certificate_file,
        "certificate_key_file": config.certificate_key_file,
        "dps.ca_file": config.dps.ca_file if config.dps else None,
    }
    missing = [f"{field}: there is no file {path}" for field, path in named.items() if path and not path.is_file()]
    return missing or _bad_certificate(config)


def _bad_certificate(config: AgentConfig) -> list[str]:
    if config.certificate_file is None:
        return []
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            config.certificate_file, config.certificate_key_file, password=lambda: b""
        )
    except (OSError, ValueError) as error:
        return [f"certificate_file: it and its key cannot be used: {error}"]
    return []


def _complaints(path: Path, error: ValidationError) -> list[str]:
    return [
        f"{path}: {'.'.join(str(part) for part in complaint['loc']) or 'the file'}: {complaint['msg']}"
        for complaint in error.errors(include_input=False, include_url=False)
    ]


def _anchor(config: AgentConfig, folder: Path) -> AgentConfig:
    files = ("hub_ca_file", "service_ca_file", "root_file", "certificate_file", "certificate_key_file")
    paths = (*files, "state_dir", "slots_dir")
    anchored: dict[str, Any] = {name: folder / value for name in paths if (value := getattr(config, name)) is not None}
    if config.dps is not None and config.dps.ca_file is not None:
        anchored["dps"] = config.dps.model_copy(update={"ca_file": folder / config.dps.ca_file})
    return config.model_copy(update=anchored)
