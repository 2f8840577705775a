"""What of a campaign request says who is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.domain.campaign_specs import digest_devices
from shared.domain.ids import DeviceId
from shared.domain.targeting import Targeting
from shared.wire.http_fields import RequestModel
from shared.wire.http_target_fields import Devices, GroupField, ListName, Query, distinct


class ExcludeRequest(RequestModel):
    """Who is left out: ids one by one, what a query over ``devices`` finds, the ids of a list, a saved group; one of
    them or several."""

    devices: Devices | None = None
    query: Query | None = None
    list_name: Annotated[ListName | None, Field(alias="list")] = None
    group: GroupField | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(given is None for given in (self.devices, self.query, self.list_name, self.group)):
            raise ValueError("give devices, query, list or group, or several of them")
        return self

    @property
    def named_devices(self) -> list[DeviceId]:
        """The ids that are known, in their order, repeats removed."""
        return distinct(self.devices)

    @property
    def has_query(self) -> bool:
        """Whether only the hub knows who else is left out."""
        return self.query is not None

    def found(self, devices: Sequence[DeviceId], *, lists: Sequence[str], group_query: str) -> FoundExclusion:
        """It with what its list and its group mean.

        Args:
            devices: The ids in those lists.
            lists: The lists that were read.
            group_query: What the group stands for; empty for a list.
        """
        return FoundExclusion.model_construct(
            devices=[*self.named_devices, *devices] or None,
            query=self.query,
            group=self.group,
            lists=tuple(lists),
            group_query=group_query,
        )

    def to_targeting(self, targeting: Targeting) -> Targeting:
        """What was said about the targets, with what this says."""
        devices = self.named_devices
        return replace(
            targeting,
            excluded=len(devices),
            excluded_sha256=digest_devices(devices) if devices else "",
            excluded_query=self.query or "",
            excluded_group=self.group or "",
        )


class FoundExclusion(ExcludeRequest):
    """An exclusion whose list and group are looked up: their ids are among ``devices``."""

    lists: tuple[str, ...] = ()
    group_query: str = ""

    @property
    def has_query(self) -> bool:
        """Whether only the hub knows who else is left out."""
        return self.query is not None or bool(self.group_query)

    def to_targeting(self, targeting: Targeting) -> Targeting:
        """What was said about the targets, with what this says."""
        asked = super().to_targeting(targeting)
        return replace(asked, excluded_lists=self.lists, excluded_group_query=self.group_query)
