"""The function app: each trigger opens a span, each route refuses what it does not read; triggers need not know."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import azure.functions as func

from shared.edge.strictness import refusal_of
from shared.telemetry.execution import about, execution
from shared.wiring.telemetry import begin_telemetry

type Function = Callable[..., Any]
type Decorator = Callable[[Any], Any]

_PARAMETER = re.compile(r"{\*?(\w+)}")
_SUBJECTS = {
    "campaigns": {"id": "campaign", "device": "device"},
    "operations": {"id": "operation"},
    "packages": {"name": "package"},
    "repository": {},
    "downloads": {"path": "package"},
}
"""First part of a route to what its parameters name."""


class TracedApp(func.FunctionApp):
    """A ``FunctionApp``: each function runs in a span of its name, behind the trace its message or event carries."""

    def route(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().route(*args, **options), _names(str(options.get("route") or next(iter(args), ""))))

    def service_bus_queue_trigger(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().service_bus_queue_trigger(*args, **options))

    def event_hub_message_trigger(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().event_hub_message_trigger(*args, **options))

    def event_grid_trigger(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().event_grid_trigger(*args, **options))

    def timer_trigger(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().timer_trigger(*args, **options))

    def blob_trigger(self, *args: Any, **options: Any) -> Decorator:
        return _traced(super().blob_trigger(*args, **options))


def _traced(decorate: Decorator, names: Mapping[str, str] | None = None) -> Decorator:
    return lambda function: decorate(traced(function, names or {}))


def traced(function: Function, names: Mapping[str, str]) -> Function:
    """The function in a span; ``names`` are its route's parameters with what they name.

    Its signature, which the host reads the bindings from, stays as it is.
    """

    @functools.wraps(function)
    def run(*given: Any, **named: Any) -> Any:
        begin_telemetry()
        triggers = [*given, *named.values()]
        with execution(function.__name__, list(_carriers(triggers))) as span:
            for request in triggers:
                if isinstance(request, func.HttpRequest):
                    about(**{name: request.route_params.get(key, "") for key, name in names.items()})
            answer = _refusal(triggers, function.__name__) or function(*given, **named)
            if isinstance(answer, func.HttpResponse):
                span.set_attribute("http.response.status_code", answer.status_code)
            return answer

    return run


def _refusal(triggers: list[Any], function: str) -> func.HttpResponse | None:
    requests = [trigger for trigger in triggers if isinstance(trigger, func.HttpRequest)]
    return next(filter(None, (refusal_of(request, function) for request in requests)), None)


def _names(route: str) -> Mapping[str, str]:
    known = _SUBJECTS.get(route.partition("/")[0], {})
    return {key: known[key] for key in _PARAMETER.findall(route) if key in known}


def _carriers(triggers: list[Any]) -> Iterator[Mapping[str, object]]:
    """What the messages or events carry of the traces they come from."""
    for trigger in triggers:
        if isinstance(trigger, list):
            yield from _carriers(trigger)
        elif isinstance(trigger, func.ServiceBusMessage):
            yield trigger.application_properties or {}
        elif isinstance(trigger, func.CloudEvent):
            yield trigger.extension_attrs
