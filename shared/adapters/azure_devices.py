"""The ``devices`` table on Azure Table storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_ring_reads import RingReader
from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row
from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.ports.errors import AlreadyExists, ConcurrentChange
from shared.ports.stored import Stored
from shared.wire.device_rows import read_device, write_device
from shared.wire.keys import DEVICES_PARTITION

type _Operation = tuple[str, dict[str, Any], dict[str, Any]]


class AzureDevices:
    """A ``DeviceStore``; one instance serves all threads of a process."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._rows = RingReader(table)

    def read_batch(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Stored[DeviceRecord]]:
        rows = self._rows.read_devices(DEVICES_PARTITION, devices)
        return {
            device: Stored(value=read_row(read_device, row), etag=str(row.metadata["etag"]))
            for device, row in rows.items()
        }

    def write(self, records: Sequence[Stored[DeviceRecord]]) -> None:
        if not records:
            return
        try:
            with table_errors():
                self._table.submit_transaction([_operation(record) for record in records])
        except AlreadyExists as error:
            raise ConcurrentChange("a device row that was to be new is there already") from error


def _operation(record: Stored[DeviceRecord]) -> _Operation:
    row = write_device(record.value)
    if not record.etag:
        return "create", row, {}
    return (
        "update",
        row,
        {"mode": UpdateMode.REPLACE, "etag": record.etag, "match_condition": MatchConditions.IfNotModified},
    )
