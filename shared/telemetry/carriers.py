"""Traces from one execution to the next: W3C Trace Context in the properties of messages and events.

What goes on soon continues the trace (``traceparent``). What comes back minutes or days later begins a trace of its own
and is linked (``groundswell-link``): a campaign of weeks must not become one trace. For the same reason a trace that is
ten minutes old is not continued; its age travels in ``tracestate``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
LINK = "groundswell-link"

CONTINUES_S = 120.0
"""A message that becomes visible later than this does not continue the trace; paced batches lie within a minute."""

LONGEST_TRACE_S = 600.0

_BEGUN = "groundswell"
"""The key in ``tracestate``: the second of Unix time at which the trace began."""

_format = TraceContextTextMapPropagator()


def carry(*, visible_at: datetime | None = None) -> dict[str, str]:
    """The properties that tell whoever gets a message from which execution it came; empty while nobody traces.

    Args:
        visible_at: When the message may be received; None means now.
    """
    present = trace.get_current_span().get_span_context()
    if not present.is_valid:
        return {}
    now = time.time()
    begun = _begun(present) or int(now)
    is_soon = visible_at is None or visible_at.timestamp() - now <= CONTINUES_S
    carried = _write(present, begun)
    if is_soon and now - begun <= LONGEST_TRACE_S:
        return carried
    return {LINK: carried[TRACEPARENT]}


def origin(carriers: Sequence[Mapping[str, object]]) -> tuple[Context, list[Link]]:
    """The context in which an execution's span begins, and what it is linked to.

    One message continues its trace; many, or one that only links, leave the execution in the host's own trace.
    """
    host = trace.get_current_span().get_span_context()
    continued = [found for carrier in carriers if (found := _read(carrier, TRACEPARENT)) is not None]
    linked = [found for carrier in carriers if (found := _read(carrier, LINK)) is not None]
    if len(carriers) != 1 or not continued:
        return context.get_current(), [Link(each) for each in [*continued, *linked]]
    [carried] = continued
    if not host.is_valid:
        return _within(carried), []
    if host.trace_id == carried.trace_id:
        # The host has continued the trace itself: its span lies between.
        return _within(_with_state(host, carried.trace_state)), []
    return _within(carried), [Link(host)]


def _write(span: SpanContext, begun: int) -> dict[str, str]:
    state = span.trace_state if _begun(span) else span.trace_state.add(_BEGUN, str(begun))
    carrier: dict[str, str] = {}
    _format.inject(carrier, context=_within(_with_state(span, state)))
    return carrier


def _read(carrier: Mapping[str, object], name: str) -> SpanContext | None:
    told = {
        TRACEPARENT: carrier.get(name),
        TRACESTATE: carrier.get(TRACESTATE) if name == TRACEPARENT else None,
    }
    texts = {key: text for key, text in told.items() if isinstance(text, str)}
    span = trace.get_current_span(_format.extract(texts, context=Context())).get_span_context()
    return span if span.is_valid else None


def _begun(span: SpanContext) -> int:
    """The second in which the trace began; 0 where it does not say."""
    told = span.trace_state.get(_BEGUN) or ""
    return int(told) if told.isdecimal() else 0


def _with_state(span: SpanContext, state: TraceState) -> SpanContext:
    return SpanContext(span.trace_id, span.span_id, is_remote=True, trace_flags=span.trace_flags, trace_state=state)


def _within(span: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(span), Context())
