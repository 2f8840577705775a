"""What downloads have been promised, on Azure Table storage: rows of the table ``budget``."""

from __future__ import annotations

from datetime import datetime

from azure.core import MatchConditions
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.domain.pacing import LONG_AGO
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.stored import Stored
from shared.wire.keys import escape
from shared.wire.rollout_rows import read_moment

PARTITION = "traffic"


class AzureTraffic:
    """A ``TrafficStore``: one row per hub and scope, ``<hub>~<scope>``."""

    def __init__(self, table: TableClient, *, hub: str) -> None:
        self._table = table
        self._hub = escape(hub)

    def get(self, scope: str) -> Stored[datetime]:
        try:
            with table_errors():
                row = self._table.get_entity(PARTITION, self._row_key(scope))
        except NotThere:
            return Stored(value=LONG_AGO, etag="")
        return Stored(value=read_moment(row["free_at"]), etag=str(row.metadata["etag"]))

    def save(self, scope: str, free_at: Stored[datetime]) -> None:
        row = {"PartitionKey": PARTITION, "RowKey": self._row_key(scope), "free_at": free_at.value}
        if free_at.etag:
            condition = MatchConditions.IfNotModified
            with table_errors():
                self._table.update_entity(row, mode=UpdateMode.REPLACE, etag=free_at.etag, match_condition=condition)
            return
        try:
            with table_errors():
                self._table.create_entity(row)
        except AlreadyExists as error:
            raise ConcurrentChange("somebody else was the first to promise bandwidth") from error

    def _row_key(self, scope: str) -> str:
        return f"{self._hub}~{scope}"
