"""Spans and log records that stay in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
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


class _Taken(LogRecordExporter):
    """Hands records on as they come."""

    def __init__(self, take: Callable[[str, dict[str, object]], None]) -> None:
        self._take = take

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        for item in batch:
            self._take(str(item.log_record.body), dict(item.log_record.attributes or {}))
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


@contextmanager
def records_sent(take: Callable[[str, dict[str, object]], None]) -> Iterator[None]:
    """Give text and attributes of each record that is sent meanwhile to ``take``."""
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(_Taken(take)))
    root, handler = logging.getLogger(), RecordsOut(provider)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
