"""A Log Analytics workspace, as far as our queries go: KQL over what was sent, on DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb_kql

# Columns and their types: learn.microsoft.com, azure-monitor/reference/tables/appTraces and its neighbours.
_COMMON = (
    "TimeGenerated TIMESTAMPTZ, Properties JSON, OperationId VARCHAR, AppRoleName VARCHAR, Type VARCHAR, "
    "_BilledSize DOUBLE"
)
TABLES = {
    "AppTraces": f"{_COMMON}, Message VARCHAR, SeverityLevel INTEGER",
    "AppExceptions": f"{_COMMON}, OuterMessage VARCHAR, SeverityLevel INTEGER",
    "AppDependencies": f"{_COMMON}, Name VARCHAR, DurationMs DOUBLE, Success BOOLEAN",
    "AppRequests": f"{_COMMON}, Name VARCHAR, DurationMs DOUBLE, Success BOOLEAN, ResultCode VARCHAR, "
    "ItemCount INTEGER",
    "AzureMetrics": "TimeGenerated TIMESTAMPTZ, ResourceProvider VARCHAR, MetricName VARCHAR, Total DOUBLE, "
    "Type VARCHAR, _BilledSize DOUBLE",
}
"""The tables behind Application Insights, and platform metrics, with the columns that the queries know."""

_KINDS = {
    "MessageData": "AppTraces",
    "ExceptionData": "AppExceptions",
    "RemoteDependencyData": "AppDependencies",
    "RequestData": "AppRequests",
}
_EARLY = "2026-01-01T00:00:00Z"


class Workspace:
    """Tables that are filled with what the exporter sends, or with single rows."""

    def __init__(self) -> None:
        self._connection = duckdb_kql.connect()
        for name, columns in TABLES.items():
            self._connection.sql(f"CREATE TABLE {name} ({columns})")
        self._said_at: str | datetime = _EARLY

    @contextmanager
    def as_of(self, ago: timedelta) -> Iterator[None]:
        """What is said meanwhile was said so long ago; otherwise it was early in the year."""
        self._said_at = datetime.now(UTC) - ago
        yield
        self._said_at = _EARLY

    def take(self, envelopes: Iterable[Mapping[str, Any]]) -> None:
        """Keep what came to the ingestion endpoint."""
        for envelope in envelopes:
            if (table := _KINDS.get(envelope["data"]["baseType"])) is not None:
                self._keep(table, _row(envelope))

    def say(self, fields: Mapping[str, object], *, message: str = "") -> None:
        """Keep a log record with these fields; the exporter makes text of every field."""
        properties = {name: str(content) for name, content in fields.items()}
        self._keep(
            "AppTraces", {"TimeGenerated": self._said_at, "Message": message, "Properties": json.dumps(properties)}
        )

    def measure(self, metric: str, total: float, *, ago: timedelta) -> None:
        """Keep what the event hubs namespace counted in the minute that holds this moment."""
        minute = (datetime.now(UTC) - ago).replace(second=0, microsecond=0)
        row = {"TimeGenerated": minute, "ResourceProvider": "MICROSOFT.EVENTHUB", "MetricName": metric, "Total": total}
        self._keep("AzureMetrics", row)

    def request(self, *, succeeded: bool, code: str = "0", stands_for: int = 1) -> None:
        """Keep an execution that the host reports; where it samples, one stands for several."""
        row = {"TimeGenerated": _EARLY, "Success": succeeded, "ResultCode": code, "ItemCount": stands_for}
        self._keep("AppRequests", row)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The rows that a query finds."""
        found = duckdb_kql.query(self._connection, query)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    def fires(self, rule: Mapping[str, Any]) -> bool:
        """Whether a rule of ``infra/alerts.json`` fires over all there is, as Azure computes it."""
        rows = self.ask("\n".join(rule["query"]))
        if rule["measure"]:
            values = [float(row[rule["measure"]]) for row in rows]
            if not values:
                return False
            found = {"Total": sum, "Maximum": max, "Minimum": min}[rule["aggregation"]](values)
        else:
            found = len(rows)
        return bool(found > rule["threshold"] if rule["operator"] == "GreaterThan" else found < rule["threshold"])

    def _keep(self, table: str, row: Mapping[str, object]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        # Names are ours, values are parameters.
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608


def _row(envelope: Mapping[str, Any]) -> dict[str, object]:
    data, tags = envelope["data"]["baseData"], envelope["tags"]
    kind = envelope["data"]["baseType"]
    row: dict[str, object] = {
        "TimeGenerated": envelope["time"],
        "Properties": json.dumps(data.get("properties") or {}),
        "OperationId": tags.get("ai.operation.id", ""),
        "AppRoleName": tags.get("ai.cloud.role", ""),
        "Type": _KINDS[kind],
    }
    match kind:
        case "MessageData":
            return row | {"Message": data["message"], "SeverityLevel": data.get("severityLevel")}
        case "ExceptionData":
            return row | {"OuterMessage": data["exceptions"][0]["message"], "SeverityLevel": data.get("severityLevel")}
        case _:
            duration_ms = _duration(data["duration"]) / timedelta(milliseconds=1)
            return row | {"Name": data["name"], "DurationMs": duration_ms, "Success": data["success"]}


def _duration(text: str) -> timedelta:
    """``d.hh:mm:ss.fff``."""
    days, _, rest = text.partition(".")
    hours, minutes, seconds = rest.split(":")
    return timedelta(days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


_TYPES = {"TIMESTAMPTZ": "datetime", "JSON": "dynamic", "VARCHAR": "string", "INTEGER": "int", "DOUBLE": "real"}
_TYPES |= {"BOOLEAN": "bool"}


def _in_kusto(columns: str) -> str:
    pairs = [column.split() for column in columns.split(", ")]
    return f"({', '.join(f'{name}: {_TYPES[kind]}' for name, kind in pairs)})"


KUSTO_TYPES = {name: _in_kusto(columns) for name, columns in TABLES.items()}
"""The same columns in KQL's types."""
