"""What of a campaign request says which package goes to whom."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from shared.domain.errors import DomainError
from shared.domain.ids import device_id, package_name
from shared.wire.http_fields import Name, RequestModel

MAX_DEVICES = 10_000

_QUERY = re.compile(r"\s*SELECT\s+(?:\*|[\w.,\s]+?)\s+FROM\s+devices(?:\s+WHERE\s+\S.*)?\s*", re.IGNORECASE | re.DOTALL)
_GROUPING = re.compile(r"\bGROUP\s+BY\b", re.IGNORECASE)


def _check_device(text: str) -> str:
    try:
        return device_id(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_package(text: str) -> str:
    try:
        return package_name(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_query(text: str) -> str:
    if not _QUERY.fullmatch(text) or _GROUPING.search(text):
        raise ValueError("only SELECT … FROM devices, with or without WHERE, finds devices")
    return text.strip()


class PackageRequest(RequestModel):
    """The package, which must be published."""

    name: Annotated[str, AfterValidator(_check_package)]
    version: Name


class TargetsRequest(RequestModel):
    """Who gets it: ids one by one, or an IoT Hub query over ``devices``; exactly one of the two."""

    devices: Annotated[
        list[Annotated[str, AfterValidator(_check_device)]] | None, Field(min_length=1, max_length=MAX_DEVICES)
    ] = None
    query: Annotated[str, Field(max_length=4_000), AfterValidator(_check_query)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.devices is None) == (self.query is None):
            raise ValueError("give either devices or query")
        return self
