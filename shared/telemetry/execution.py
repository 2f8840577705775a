"""One execution of a function: its span, and whom it is about.

The ids go to the span as attributes and, by ``IdsOnRecords``, to every log record that is sent meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode

from shared.telemetry.carriers import origin
from shared.telemetry.signals import PREFIX

IDS = ("artifact", "campaign", "wave", "shard", "batch", "device", "package", "operation")
"""What an execution may be about; names of attributes after ``groundswell.``."""

_MAX_CHARS = 128
_NOTHING: Mapping[str, str | int] = {}
_about: ContextVar[Mapping[str, str | int]] = ContextVar("about", default=_NOTHING)


@contextmanager
def execution(function: str, carriers: Sequence[Mapping[str, object]] = ()) -> Iterator[Span]:
    """A span for one execution of a function, continued from or linked to what its messages carry.

    The span is an internal one: the host reports the execution itself as a request, and two would be counted.
    """
    parent, links = origin(carriers)
    token = _about.set(_NOTHING)
    tracer = trace.get_tracer("groundswell")
    opened = tracer.start_as_current_span(
        function, context=parent, links=links, record_exception=False, set_status_on_exception=False
    )
    try:
        with opened as span:
            try:
                yield span
            except BaseException as error:
                # The host logs the error; its words may hold what a span must not, so only its kind goes here.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise
    finally:
        _about.reset(token)


def about(**ids: str | int) -> None:
    """Say whom the present execution is about: any of ``IDS``."""
    told = {name: content if isinstance(content, int) else content[:_MAX_CHARS] for name, content in ids.items()}
    _about.set({**_about.get(), **told})
    trace.get_current_span().set_attributes({f"{PREFIX}{name}": content for name, content in told.items()})


def told_ids() -> Mapping[str, str | int]:
    """Whom the present execution is about, by attribute names."""
    return {f"{PREFIX}{name}": content for name, content in _about.get().items()}
