"""What an agent is told about its Device Provisioning Service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from shared.domain.enrolment import check_key, registration_id
from shared.domain.errors import InvalidId

GLOBAL_HOST = "global.azure-devices-provisioning.net"


class DpsConfig(BaseModel):
    """Where and as whom the device enrols, and when it does so again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id_scope: str = Field(pattern=r"^[0-9A-Za-z]{1,64}$")
    registration_id: str
    symmetric_key: SecretStr | None = None
    provisioning_host: str = Field(default=GLOBAL_HOST, pattern=r"^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")
    ca_file: Path | None = None
    payload: dict[str, Any] = {}
    timeout_s: float = Field(default=60.0, gt=0)
    retry_initial_s: float = Field(default=30.0, gt=0)
    retry_longest_s: float = Field(default=3600.0, gt=0)
    refusals: int = Field(default=3, gt=0)
    unreachable_s: float = Field(default=6 * 3600.0, gt=0)

    @field_validator("registration_id")
    @classmethod
    def _id_is_one(cls, text: str) -> str:
        try:
            return registration_id(text)
        except InvalidId as error:
            raise ValueError(error.message) from error

    @field_validator("symmetric_key")
    @classmethod
    def _key_is_one(cls, key: SecretStr | None) -> SecretStr | None:
        try:
            if key is not None:
                check_key(key.get_secret_value())
        except InvalidId as error:
            raise ValueError(error.message) from error
        return key
