"""The rows of the ``rollout`` table as they lie there, and the ``archive`` container."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched, islice
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableEntity
from azure.storage.blob import ContainerClient, ContentSettings

from shared.adapters.azure_blob_errors import blob_errors
from shared.adapters.azure_table_errors import table_errors
from shared.domain.ids import CampaignId
from shared.ports.archive import RowCopy
from shared.ports.errors import ConcurrentChange, NotThere
from shared.wire.archive_parts import storable
from shared.wire.keys import rollout_partition
from shared.wire.rollout_rows import is_rollout

_PER_TRANSACTION = 100
_KEYS = ("PartitionKey", "RowKey")


class AzureRolloutRows:
    """A ``RolloutRows``."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def read_after(self, campaign: CampaignId, shard: int, *, after: str, limit: int) -> list[RowCopy]:
        return self._read("RowKey gt @after", {"after": after}, campaign, shard, limit=limit)

    def read_between(self, campaign: CampaignId, shard: int, *, first: str, last: str) -> list[RowCopy]:
        return self._read("RowKey ge @first and RowKey le @last", {"first": first, "last": last}, campaign, shard)

    def delete(self, campaign: CampaignId, shard: int, rows: Sequence[RowCopy]) -> None:
        partition = rollout_partition(campaign, shard)
        for some in batched(rows, _PER_TRANSACTION):
            try:
                with table_errors():
                    self._table.submit_transaction([_deletion(partition, row) for row in some])
            except NotThere as error:
                raise ConcurrentChange("a row is gone already") from error

    def _read(
        self, where: str, named: dict[str, Any], campaign: CampaignId, shard: int, *, limit: int | None = None
    ) -> list[RowCopy]:
        parameters = named | {"partition": rollout_partition(campaign, shard)}
        with table_errors():
            rows = self._table.query_entities(f"PartitionKey eq @partition and {where}", parameters=parameters)
            return [_copy(row) for row in islice(filter(is_rollout, rows), limit)]


class AzureArchive:
    """An ``ArchiveStore``."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def create(self, name: str, content: bytes) -> None:
        settings = ContentSettings(content_type="application/gzip")
        with blob_errors():
            self._container.upload_blob(name, content, overwrite=False, content_settings=settings)

    def read(self, name: str) -> bytes:
        with blob_errors():
            return self._container.download_blob(name).readall()


def _copy(row: TableEntity) -> RowCopy:
    fields = {column: storable(value) for column, value in row.items() if column not in _KEYS}
    return RowCopy(key=row["RowKey"], etag=str(row.metadata["etag"]), fields=fields)


def _deletion(partition: str, row: RowCopy) -> tuple[str, dict[str, Any], dict[str, Any]]:
    condition = {"etag": row.etag, "match_condition": MatchConditions.IfNotModified}
    return "delete", {"PartitionKey": partition, "RowKey": row.key}, condition
