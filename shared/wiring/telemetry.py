"""Where telemetry goes: to Application Insights where the host is told of one, else nowhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Lock

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_NO_RESOURCE_ROWS = "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED"

log = logging.getLogger(__name__)

_has_begun = False
_beginning = Lock()


def begin_telemetry(environment: Mapping[str, str] = os.environ) -> None:
    """Send spans and log records to where the setting says; asked again, or told of nowhere, it does nothing."""
    global _has_begun  # noqa: PLW0603 - one per process, begun when the first event comes
    if _has_begun or not environment.get(CONNECTION):
        return
    with _beginning:
        if not _has_begun:
            _try_to_begin(environment)
            _has_begun = True


def _try_to_begin(environment: Mapping[str, str]) -> None:
    try:
        _begin(environment)
    except ValueError as error:
        # The work matters more than being seen at it.
        log.error("no telemetry is sent, because %s is wrong: %s", CONNECTION, error)


def _begin(environment: Mapping[str, str]) -> None:
    """Make the SDK's providers. It is imported here, because a process without telemetry needs none of it.

    The exporters take the identity from ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING``, as the host does.
    """
    from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415
        AzureMonitorLogExporter,
        AzureMonitorTraceExporter,
    )
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from shared.telemetry.records import RecordsOut  # noqa: PLC0415

    # Otherwise each batch of spans brings a billed row along that says only which SDK made it.
    os.environ.setdefault(_NO_RESOURCE_ROWS, "true")
    where = {"connection_string": environment[CONNECTION]}
    app = Resource.create({"service.name": environment.get("WEBSITE_SITE_NAME", "groundswell")})
    spans = TracerProvider(resource=app)
    spans.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(**where)))
    trace.set_tracer_provider(spans)
    records = LoggerProvider(resource=app)
    records.add_log_record_processor(BatchLogRecordProcessor(AzureMonitorLogExporter(**where)))
    logging.getLogger().addHandler(RecordsOut(records))
    logging.getLogger("shared").setLevel(logging.INFO)
