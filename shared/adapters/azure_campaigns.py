"""The ``campaigns`` table on Azure Table storage."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableEntity, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row, readable_rows
from shared.domain.campaigns import Campaign
from shared.domain.errors import DomainError
from shared.domain.ids import CampaignId
from shared.domain.planning import PlanningPhase
from shared.ports.errors import NotThere, UnreadableRow
from shared.ports.stored import Page, Stored
from shared.wire.campaign_rows import (
    AWAITS_STEP,
    CAMPAIGN_ROW,
    WAVE_ROWS_END,
    read_campaign,
    wave_row_key,
    write_campaign_row,
    write_wave_row,
)

type _Operation = tuple[str, dict[str, Any], dict[str, Any]]


class AzureCampaigns:
    """A ``CampaignStore``; one instance serves all threads of a process."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def create(self, campaign: Campaign) -> None:
        with table_errors():
            self._table.submit_transaction([("create", write_campaign_row(campaign), {}), *_wave_operations(campaign)])

    def get(self, campaign: CampaignId) -> Stored[Campaign]:
        with table_errors():
            rows = list(self._table.query_entities("PartitionKey eq @campaign", parameters={"campaign": campaign}))
        own = next((row for row in rows if row["RowKey"] == CAMPAIGN_ROW), None)
        if own is None:
            raise NotThere(f"no campaign {campaign}")
        waves = [row for row in rows if row["RowKey"] != CAMPAIGN_ROW]
        value = read_row(lambda row: read_campaign(row, waves), own)
        return Stored(value=value, etag=str(own.metadata["etag"]))

    def save(self, campaign: Stored[Campaign]) -> Stored[Campaign]:
        condition = {
            "mode": UpdateMode.REPLACE,
            "etag": campaign.etag,
            "match_condition": MatchConditions.IfNotModified,
        }
        own: _Operation = ("update", write_campaign_row(campaign.value), condition)
        with table_errors():
            gone = self._waves_gone(campaign.value)
            results = self._table.submit_transaction([own, *_wave_operations(campaign.value), *gone])
        return Stored(value=campaign.value, etag=str(results[0]["etag"]))

    def _waves_gone(self, campaign: Campaign) -> list[_Operation]:
        """The deletions of rows of waves that it has no more. Only an edit makes waves fewer, and sets this phase."""
        if campaign.planning.phase is not PlanningPhase.CUTTING:
            return []
        keys = {"campaign": campaign.id, "last": wave_row_key(len(campaign.waves)), "end": WAVE_ROWS_END}
        where = "PartitionKey eq @campaign and RowKey gt @last and RowKey lt @end"
        rows = self._table.query_entities(where, parameters=keys, select=["PartitionKey", "RowKey"])
        return [("delete", dict(row), {}) for row in rows]

    def list_page(self, *, size: int, continuation: str = "") -> Page[Campaign]:
        pages = self._table.query_entities(
            "RowKey eq @row", parameters={"row": CAMPAIGN_ROW}, results_per_page=size
        ).by_page(continuation_token=_read_continuation(continuation))
        with table_errors():
            rows: list[TableEntity] = list(next(pages, iter(())))
        items, unreadable = _readable(rows)
        return Page(
            items=items,
            continuation=_write_continuation(pages.continuation_token),  # type: ignore[attr-defined]
            unreadable=unreadable,
        )

    def list_unfinished(self) -> Iterator[Campaign]:
        rows = self._table.query_entities(
            f"RowKey eq @row and {AWAITS_STEP} eq @true", parameters={"row": CAMPAIGN_ROW, "true": True}
        )
        with table_errors():
            yield from readable_rows(read_campaign, rows)


def _readable(rows: list[TableEntity]) -> tuple[tuple[Campaign, ...], dict[str, str]]:
    """The campaigns, and which are not among them and why."""
    campaigns: list[Campaign] = []
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            campaigns.append(read_row(read_campaign, row))
        except UnreadableRow as error:
            unreadable[row["PartitionKey"]] = str(error)
    return tuple(campaigns), unreadable


def _wave_operations(campaign: Campaign) -> list[_Operation]:
    return [("upsert", write_wave_row(campaign, wave), {"mode": UpdateMode.REPLACE}) for wave in campaign.waves]


def _write_continuation(token: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode() if token else ""


def _read_continuation(text: str) -> Any:
    if not text:
        return None
    try:
        token = json.loads(base64.urlsafe_b64decode(text))
    except ValueError:
        token = None
    if not isinstance(token, dict) or not {"PartitionKey", "RowKey"} <= token.keys():
        raise DomainError("continuation: this is not where a page ended", code="invalid_request")
    return token
