"""Plain table queries, as an operator runs them."""

from __future__ import annotations

from typing import Any

from azure.data.tables import TableServiceClient

type Row = dict[str, Any]


class Tables:
    """The tables of a storage account."""

    def __init__(self, connection: str) -> None:
        self._service = TableServiceClient.from_connection_string(connection)

    def query(self, table: str, query_filter: str = "", **parameters: Any) -> list[Row]:
        """The rows a query finds."""
        found = self._service.get_table_client(table).query_entities(query_filter, parameters=parameters or None)
        return [dict(row) for row in found]

    def update(self, table: str, row: Row) -> None:
        """Write over a row, as somebody with access to the account can."""
        self._service.get_table_client(table).upsert_entity(row)

    def rollouts(self, campaign: str) -> list[Row]:
        """The rollout rows of a campaign, its counters left out."""
        where = "PartitionKey ge @low and PartitionKey lt @high and device ne ''"
        return self.query("rollout", where, low=f"{campaign}~", high=f"{campaign}~~")

    def states(self, campaign: str) -> dict[str, str]:
        """Device id to the state of its rollout row."""
        return {row["device"]: row["state"] for row in self.rollouts(campaign)}

    def audit(self, campaign: str) -> list[Row]:
        """The audit entries of a campaign in their order."""
        return self.query("audit", "PartitionKey eq @campaign", campaign=campaign)

    def close(self) -> None:
        """Close the connections."""
        self._service.close()
