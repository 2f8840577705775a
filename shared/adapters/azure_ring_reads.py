"""Reading the rows of some devices out of a partition in ring order, with few calls.

A range query hands out every row between its ends, 1,000 a page; a point read hands out one. Which is cheaper depends
on how densely the partition is filled: a thousand reports of a small campaign stand close together, the same number out
of a million devices stand ten thousand rows apart. The density is learnt from the ranges read before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.core.paging import ItemPaged
from azure.data.tables import TableClient, TableEntity

from shared.adapters.azure_table_errors import table_errors
from shared.domain.ids import RING_SIZE, DeviceId, ring_position
from shared.telemetry.threads import TellingThreads
from shared.wire.keys import row_key

_PAGE_ROWS = 1000
"""Rows a query hands out at most in one answer (Table storage, query timeout and pagination)."""

_GAP_ROWS = _PAGE_ROWS // 10
"""Unwanted rows that cost about as much to read as one more call."""

_PARALLEL_READS = 8
_REMEMBERED_PARTITIONS = 1000


class RingReader:
    """Reads rows of one table by device, by range or one by one."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._pool = TellingThreads(_PARALLEL_READS, thread_name_prefix="ring-reads")
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock = Lock()

    def read_range(
        self, partition: str, first: int, last: int, *, where: str = "", named: Mapping[str, Any] | None = None
    ) -> list[TableEntity]:
        """All rows from ring position ``first`` to ``last``, both included.

        Args:
            where: A further condition, beginning with ``and``.
            named: The values it names.

        Raises:
            PortError: The table cannot be read.
        """
        with table_errors():
            return list(self._query(partition, first, last, where, named or {}))

    def read_devices(self, partition: str, devices: Iterable[DeviceId]) -> dict[DeviceId, TableEntity]:
        """The rows of the devices, those without a row left out.

        Raises:
            PortError: The table cannot be read.
        """
        left = sorted(set(devices), key=ring_position)
        with table_errors():
            rows, left = self._probe(partition, left) if len(left) > 1 else ({}, left)
            return rows | self._read_clusters(partition, clusters(left, self._gap(partition)))

    def _probe(self, partition: str, devices: list[DeviceId]) -> tuple[dict[DeviceId, TableEntity], list[DeviceId]]:
        """The first page of a range, where nothing is known of the density yet, and the devices it did not reach."""
        if partition in self._seen:
            return {}, devices
        arc = clusters(devices, RING_SIZE // 2)[0]
        # The SDK's pager has its continuation token without declaring it.
        pages: Any = self._query(partition, ring_position(arc[0]), ring_position(arc[-1])).by_page()
        page = list(next(pages, ()))
        rows = _by_device(page)
        reached = max(map(ring_position, rows), default=0) if pages.continuation_token else RING_SIZE
        self._learn(partition, len(page), min(reached, ring_position(arc[-1])) - ring_position(arc[0]))
        read = {device for device in arc if ring_position(device) < reached}
        return _only(rows, read), [device for device in devices if device not in read]

    def _read_clusters(self, partition: str, parts: Sequence[list[DeviceId]]) -> dict[DeviceId, TableEntity]:
        rows: dict[DeviceId, TableEntity] = {}
        alone = [part[0] for part in parts if len(part) == 1]
        for found in self._pool.map(lambda device: self._read_point(partition, device), alone):
            rows |= found
        for part in parts:
            if len(part) > 1:
                first, last = ring_position(part[0]), ring_position(part[-1])
                page = list(self._query(partition, first, last))
                self._learn(partition, len(page), last - first)
                rows |= _only(_by_device(page), set(part))
        return rows

    def _query(
        self, partition: str, first: int, last: int, where: str = "", named: Mapping[str, Any] | None = None
    ) -> ItemPaged[TableEntity]:
        # No escaped device id begins with two tildes, so the last position is read whole.
        ends = {"partition": partition, "first": f"{first:08x}~", "last": f"{last:08x}~~"}
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last" + where,
            parameters={**ends, **(named or {})},
        )

    def _read_point(self, partition: str, device: DeviceId) -> dict[DeviceId, TableEntity]:
        try:
            return {device: self._table.get_entity(partition, row_key(device))}
        except ResourceNotFoundError:
            return {}

    def _gap(self, partition: str) -> int:
        rows, span = self._seen.get(partition, (1, RING_SIZE))
        return min(_GAP_ROWS * span // max(rows, 1), RING_SIZE // 2)

    def _learn(self, partition: str, rows: int, span: int) -> None:
        with self._lock:
            if len(self._seen) >= _REMEMBERED_PARTITIONS:
                self._seen.clear()
            seen_rows, seen_span = self._seen.get(partition, (0, 0))
            self._seen[partition] = (seen_rows + rows, seen_span + max(span, 1))


def clusters(devices: Sequence[DeviceId], gap: int) -> list[list[DeviceId]]:
    """The devices, which are in order of position, cut wherever two neighbours stand more than ``gap`` apart."""
    parts = [[device] for device in devices[:1]]
    for before, after in pairwise(devices):
        if ring_position(after) - ring_position(before) > gap:
            parts.append([])
        parts[-1].append(after)
    return parts


def _by_device(page: Iterable[TableEntity]) -> dict[DeviceId, TableEntity]:
    # The counters rows of the rollout table stand among the hexadecimal keys and name no device.
    return {DeviceId(row["device"]): row for row in page if "device" in row}


def _only(rows: dict[DeviceId, TableEntity], wanted: set[DeviceId]) -> dict[DeviceId, TableEntity]:
    return {device: row for device, row in rows.items() if device in wanted}
