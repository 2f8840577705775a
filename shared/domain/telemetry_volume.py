"""What a campaign's telemetry comes to in the Log Analytics workspace: rows by who sends them, times their sizes.

Sizes of our own rows are measured (``bench.telemetry``, 27 November 2026, 200 devices, real exporter): the JSON that is
sent, before compression. What Azure's host adds could not be measured here and is assumed to be as large as ours.
"""

from __future__ import annotations

from dataclasses import dataclass

SPAN_BYTES = 850
"""Measured: 747 to 913, by the length of the ids."""

RECORD_BYTES = 950
"""Measured: 847 for ``relayed``, 942 for ``folded``, 735 to 914 for others."""

HOST_RECORDS = 2
"""Records of the host for each execution: that it begins, and how it ended. Assumed; they are never sampled."""

BILLED_SHARE = 0.75
"""The billed size is around 25 % less than the incoming JSON ("Azure Monitor Logs cost calculations and options")."""

FREE_GB = 5
"""A month's allowance, before anything is paid (Azure Monitor pricing)."""

_RECORDS_PER_REPORT = 2
"""``relayed`` and ``folded``: one each where a report comes alone."""

_RECORDS_PER_BATCH = 2
"""What visits say of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryRows:
    """Rows at most: as if every report came alone, and nothing were sampled.

    Attributes:
        spans: One of ours for each execution of a function; sampled with the host's traces.
        requests: The host's own, one for each execution; sampled.
        records: Our log records; never sampled.
        host_records: The host's log records; never sampled.
    """

    spans: int
    requests: int
    records: int
    host_records: int

    @property
    def all(self) -> int:
        """Together."""
        return self.spans + self.requests + self.records + self.host_records

    @property
    def billed_bytes(self) -> int:
        """What the workspace charges for."""
        spans = (self.spans + self.requests) * SPAN_BYTES
        records = (self.records + self.host_records) * RECORD_BYTES
        return round((spans + records) * BILLED_SHARE)


def telemetry_rows(*, executions: int, reports: int, batches: int) -> TelemetryRows:
    """The rows that so many executions send, among them those for reports and device batches."""
    return TelemetryRows(
        spans=executions,
        requests=executions,
        records=reports * _RECORDS_PER_REPORT + batches * _RECORDS_PER_BATCH,
        host_records=executions * HOST_RECORDS,
    )
