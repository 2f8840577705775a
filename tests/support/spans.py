"""Spans and log records that stay in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry.records import RecordsOut


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        """In the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        """The one span of this name."""
        [found] = [span for span in self.all() if span.name == name]
        return found


@contextmanager
def spans_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Trace into memory for a while; the process's own provider can be set only once."""
    spans = Spans()
    with monkeypatch.context() as patched:
        patched.setattr(trace, "get_tracer", spans.provider.get_tracer)
        yield spans


class Sent:
    """Log records as they are handed to OpenTelemetry."""

    def __init__(self) -> None:
        self._exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        self.handler = RecordsOut(provider)

    def records(self) -> list[tuple[str, dict[str, object]]]:
        """Text and attributes of each."""
        found = [item.log_record for item in self._exporter.get_finished_logs()]
        return [(str(record.body), dict(record.attributes or {})) for record in found]
