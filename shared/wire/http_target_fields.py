"""Fields that name devices in requests: by id, by query, by list and by saved group."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.domain.errors import DomainError
from shared.domain.groups import GROUP_NAME, group_name
from shared.domain.hub_queries import check_query
from shared.domain.ids import DEVICE_ID, DeviceId, device_id
from shared.wire.http_fields import shown_pattern

MAX_DEVICES = 10_000

_LIST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


def _check_device(text: str) -> str:
    try:
        return device_id(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_group(text: str) -> str:
    try:
        return group_name(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_list(text: str) -> str:
    if not _LIST.fullmatch(text) or ".." in text or "//" in text:
        raise ValueError("a list is named by 1-200 letters, digits and ._/- beginning with a letter or digit")
    return text


def _check_query(text: str) -> str:
    try:
        check_query(text)
    except DomainError as error:
        raise ValueError(error.message) from error
    return text.strip()


type Device = Annotated[str, AfterValidator(_check_device), Field(json_schema_extra=shown_pattern(DEVICE_ID))]
type Devices = Annotated[list[Device], Field(min_length=1, max_length=MAX_DEVICES)]
type ListName = Annotated[str, AfterValidator(_check_list), Field(json_schema_extra=shown_pattern(_LIST))]
type GroupField = Annotated[str, AfterValidator(_check_group), Field(json_schema_extra=shown_pattern(GROUP_NAME))]
type Query = Annotated[str, Field(max_length=4_000), AfterValidator(_check_query)]


def distinct(devices: Iterable[str] | None) -> list[DeviceId]:
    """The ids in their order, repeats removed."""
    return [DeviceId(device) for device in dict.fromkeys(devices or [])]
