"""What of a campaign request says which package goes to whom."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from shared.domain.campaign_specs import DeviceList, DeviceQuery, Targets, digest_devices
from shared.domain.errors import DomainError
from shared.domain.ids import PACKAGE_NAME, DeviceId, package_name
from shared.domain.targeting import RELIST_S, Canaries, Membership, Targeting
from shared.wire.http_exclusions import ExcludeRequest
from shared.wire.http_fields import Name, RequestModel, exactly_one, shown_pattern
from shared.wire.http_target_fields import Devices, GroupField, ListName, Query, distinct


def _check_package(text: str) -> str:
    try:
        return package_name(text)
    except DomainError as error:
        raise ValueError(error.message) from error


class PackageRequest(RequestModel):
    """The package, which must be published."""

    name: Annotated[str, AfterValidator(_check_package), Field(json_schema_extra=shown_pattern(PACKAGE_NAME))]
    version: Name


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
        return self.exclude.named_devices if self.exclude else []

    @property
    def named_devices(self) -> list[DeviceId]:
        """The ids given one by one, in their order, repeats removed; empty for a query."""
        return distinct(self.devices)

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
        targeting = Targeting(
            group=self.group or "",
            list_name=self.list_name or "",
            canaries=Canaries(self.canaries),
            membership=Membership(self.membership),
            relist_s=self.relist_s,
        )
        return self.exclude.to_targeting(targeting) if self.exclude else targeting
