"""The emergency stop on Azure Table storage: one row per hub in the table ``budget``."""

from __future__ import annotations

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableErrorCode, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row
from shared.domain.stops import FleetStop
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, Unavailable
from shared.ports.stored import Stored
from shared.wire.keys import escape
from shared.wire.stop_rows import STOP_PARTITION, read_stop, write_stop


class AzureStops:
    """A ``StopStore``."""

    def __init__(self, table: TableClient, *, hub: str) -> None:
        self._table = table
        self._row_key = escape(hub)

    def get(self) -> Stored[FleetStop]:
        try:
            with table_errors():
                row = self._table.get_entity(STOP_PARTITION, self._row_key)
        except NotThere as error:
            # A table that is not there says nothing about the fleet: only a row that is not there does.
            if getattr(error.__cause__, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND:
                raise Unavailable("there is no table budget: nobody can say whether the fleet is stopped") from error
            return Stored(value=FleetStop(), etag="")
        return Stored(value=read_row(read_stop, row), etag=str(row.metadata["etag"]))

    def save(self, stop: Stored[FleetStop]) -> None:
        row = write_stop(stop.value, self._row_key)
        with table_errors():
            if stop.etag:
                self._table.update_entity(
                    row, mode=UpdateMode.REPLACE, etag=stop.etag, match_condition=MatchConditions.IfNotModified
                )
                return
        try:
            with table_errors():
                self._table.create_entity(row)
        except AlreadyExists as error:
            raise ConcurrentChange("somebody else stopped the fleet first") from error
