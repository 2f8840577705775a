"""Log records on their way out: with the ids of the execution they were written in, and without secrets."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber

from shared.telemetry.execution import told_ids
from shared.telemetry.signals import PREFIX

_OWN = ("shared", "function_app")
"""Heard from INFO up, libraries from WARNING up."""

_SENDERS = ("azure.core.pipeline", "azure.identity", "azure.monitor", "opentelemetry", "urllib3")
"""Whoever takes part in sending: a record of theirs about a record that failed would make another one."""

_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)
_SECRET = re.compile(r"\b(sig|AccountKey|SharedAccessKey|SharedAccessSignature)=[^&;\s\"']+")


class IdsOnRecords(logging.Filter):
    """Puts the ids of the execution and of the trace on each record as fields; what the record says itself stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        span = trace.get_current_span().get_span_context()
        fields: dict[str, str | int] = dict(told_ids())
        if span.is_valid:
            fields |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        for name, content in fields.items():
            vars(record).setdefault(name, content)
        return True


class RecordsOut(logging.Handler):
    """Hands records to OpenTelemetry: the text, our own fields, and of other people's fields none."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider
        self.addFilter(_is_worth_sending)
        self.addFilter(IdsOnRecords())

    def emit(self, record: logging.LogRecord) -> None:
        self._provider.get_logger(record.name).emit(
            timestamp=int(record.created * 1e9),
            severity_number=_severity(record.levelno),
            severity_text=record.levelname,
            body=without_secrets(record.getMessage()),
            attributes=_attributes(record),
        )


def without_secrets(text: str) -> str:
    """The text without what follows ``sig=``, ``AccountKey=`` and the like, which other people's errors may quote."""
    return _SECRET.sub(r"\1=…", text)


def _severity(level: int) -> SeverityNumber:
    return next((severity for least, severity in _SEVERITIES if level >= least), SeverityNumber.DEBUG)


def _is_worth_sending(record: logging.LogRecord) -> bool:
    if record.name.startswith(_SENDERS):
        return False
    return record.levelno >= (logging.INFO if record.name.split(".")[0] in _OWN else logging.WARNING)


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: content for name, content in vars(record).items() if name.startswith(PREFIX)}
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception.type"] = record.exc_info[0].__name__
        fields["exception.message"] = without_secrets(str(record.exc_info[1]))
        fields["exception.stacktrace"] = without_secrets("".join(traceback.format_exception(*record.exc_info)))
    return fields
