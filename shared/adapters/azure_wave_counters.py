"""What this process remembers of counters rows, so that a commit need not read them first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient

from shared.adapters.stored_rows import read_row
from shared.domain.cohorts import Tally
from shared.ports.errors import ConcurrentChange
from shared.wire.rollout_rows import counters_key, read_tally

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersRow:
    """A counters row as last seen; the etag is empty while there is none."""

    tally: Tally
    etag: str


class WaveCounters:
    """The counters rows of one table, as this process last committed or read them.

    One thread at a time may commit to a row: threads of one process would only make each other's transactions fail.
    """

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._rows: OrderedDict[tuple[str, int], CountersRow] = OrderedDict()
        self._turns: OrderedDict[tuple[str, int], Lock] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def turn(self, partition: str, wave: int, *, timeout_s: float) -> Iterator[None]:
        """Hold this process's turn to commit to the row.

        Raises:
            ConcurrentChange: Other threads held it all the time.
        """
        with self._lock:
            turn = self._turns.setdefault((partition, wave), Lock())
            self._turns.move_to_end((partition, wave))
            while len(self._turns) > _REMEMBERED:
                self._turns.popitem(last=False)
        if not turn.acquire(timeout=max(timeout_s, 0)):
            raise ConcurrentChange(f"the counters of {partition} were contended for {timeout_s:g} s")
        try:
            yield
        finally:
            turn.release()

    def recall(self, partition: str, wave: int) -> CountersRow:
        """The row as remembered, or else as read."""
        with self._lock:
            row = self._rows.get((partition, wave))
        return row or self.read(partition, wave)

    def read(self, partition: str, wave: int) -> CountersRow:
        """The row as it stands in the table."""
        try:
            entity = self._table.get_entity(partition, counters_key(wave))
        except ResourceNotFoundError:
            return CountersRow(tally=Tally(), etag="")
        return CountersRow(tally=read_row(read_tally, entity), etag=str(entity.metadata["etag"]))

    def remember(self, partition: str, wave: int, row: CountersRow) -> None:
        """Keep what a commit left behind."""
        with self._lock:
            self._rows[partition, wave] = row
            self._rows.move_to_end((partition, wave))
            while len(self._rows) > _REMEMBERED:
                self._rows.popitem(last=False)

    def forget(self, partition: str, wave: int) -> None:
        """Drop what is remembered, because a commit failed or its end is unknown."""
        with self._lock:
            self._rows.pop((partition, wave), None)
