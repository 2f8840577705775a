"""What of a campaign request says which package goes to whom."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from shared.domain.campaigns import DeviceList, DeviceQuery, Targets, digest_devices
from shared.domain.errors import DomainError
from shared.domain.groups import GROUP_NAME, group_name
from shared.domain.hub_queries import check_query
from shared.domain.ids import DEVICE_ID, PACKAGE_NAME, DeviceId, device_id, package_name
from shared.domain.targeting import RELIST_S, Canaries, Membership, Targeting
from shared.wire.http_fields import Name, RequestModel, exactly_one, shown_pattern

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


def _check_package(text: str) -> str:
    try:
        return package_name(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_query(text: str) -> str:
    try:
        check_query(text)
    except DomainError as error:
        raise ValueError(error.message) from error
    return text.strip()


class PackageRequest(RequestModel):
    """The package, which must be published."""

    name: Annotated[str, AfterValidator(_check_package), Field(json_schema_extra=shown_pattern(PACKAGE_NAME))]
    version: Name


type Device = Annotated[str, AfterValidator(_check_device), Field(json_schema_extra=shown_pattern(DEVICE_ID))]
type Devices = Annotated[list[Device], Field(min_length=1, max_length=MAX_DEVICES)]
type ListName = Annotated[str, AfterValidator(_check_list), Field(json_schema_extra=shown_pattern(_LIST))]
type GroupField = Annotated[str, AfterValidator(_check_group), Field(json_schema_extra=shown_pattern(GROUP_NAME))]
type Query = Annotated[str, Field(max_length=4_000), AfterValidator(_check_query)]


class ExcludeRequest(RequestModel):
    """Who is left out: ids one by one, what a query over ``devices`` finds, or both."""

    devices: Devices | None = None
    query: Query | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if self.devices is None and self.query is None:
            raise ValueError("give devices, query or both")
        return self


class TargetsRequest(RequestModel):
    """Who gets it: ids one by one, an IoT Hub query over ``devices``, a list of ids as a blob in the container
    ``target-lists``, or a saved group; exactly one of them.

    Once its group and list are looked up, see ``shared.handlers.find_targets``, it has what they mean beside them.
    """

    model_config = ConfigDict(
        json_schema_extra=exactly_one(devices="array", query="string", list="string", group="string")
    )

    devices: Devices | None = None
    query: Query | None = None
    list_name: Annotated[ListName | None, Field(alias="list")] = None
    group: GroupField | None = None
    exclude: ExcludeRequest | None = None
    canaries: Literal["rotating", "fixed"] = "rotating"
    membership: Literal["snapshot", "dynamic"] = "snapshot"
    relist_s: Annotated[float, Field(ge=60, le=86_400)] = RELIST_S

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(given is not None for given in (self.devices, self.query, self.list_name, self.group)) != 1:
            raise ValueError("give exactly one of devices, query, list and group")
        return self

    @model_validator(mode="after")
    def _dynamic_by_query(self) -> Self:
        if self.membership == "dynamic" and self.query is None and self.group is None:
            raise ValueError("membership: only a query, or a group of one, finds devices that join later")
        return self

    @model_validator(mode="after")
    def _somebody_left(self) -> Self:
        if self.devices is not None and set(self.devices) <= set(self.excluded_devices):
            raise ValueError("exclude leaves no device over")
        return self

    @property
    def excluded_devices(self) -> list[DeviceId]:
        """The ids to leave out, in their order, repeats removed."""
        return _distinct(self.exclude.devices if self.exclude else None)

    @property
    def named_devices(self) -> list[DeviceId]:
        """The ids given one by one, in their order, repeats removed; empty for a query."""
        return _distinct(self.devices)

    @property
    def most_devices(self) -> int:
        """How many devices it can be at most; 0 where only a listing can tell."""
        return len(set(self.named_devices) - set(self.excluded_devices))

    def to_targets(self) -> Targets:
        """The targets it means."""
        if self.query is not None:
            return DeviceQuery(query=self.query)
        return DeviceList(count=len(self.named_devices), sha256=digest_devices(self.named_devices))

    def to_targeting(self) -> Targeting:
        """What it says beyond naming the targets."""
        excluded = self.excluded_devices
        return Targeting(
            excluded=len(excluded),
            excluded_sha256=digest_devices(excluded) if excluded else "",
            excluded_query=(self.exclude.query or "") if self.exclude else "",
            group=self.group or "",
            list_name=self.list_name or "",
            canaries=Canaries(self.canaries),
            membership=Membership(self.membership),
            relist_s=self.relist_s,
        )


def _distinct(devices: list[str] | None) -> list[DeviceId]:
    return [DeviceId(device) for device in dict.fromkeys(devices or [])]
