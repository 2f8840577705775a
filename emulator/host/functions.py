"""What a function app declares: its functions, their trigger, bindings and retry policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from emulator.host.app_settings import resolve_settings
from emulator.host.retry import RetryPolicy, RetryStrategy

HTTP = "httpTrigger"
SERVICE_BUS = "serviceBusTrigger"
EVENT_GRID = "eventGridTrigger"
EVENT_HUB = "eventHubTrigger"
BLOB = "blobTrigger"
TIMER = "timerTrigger"
TRIGGERS = frozenset({HTTP, SERVICE_BUS, EVENT_GRID, EVENT_HUB, BLOB, TIMER})


class UnsupportedBindingError(ValueError):
    """A function uses a binding that this host does not drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger binding with its settings resolved.

    Attributes:
        kind: the binding type, for example `serviceBusTrigger`.
        parameter: name of the Python parameter it fills.
        fields: the other binding fields under their function.json names.
    """

    kind: str
    parameter: str
    fields: Mapping[str, Any]

    def text(self, field: str, default: str = "") -> str:
        return str(self.fields.get(field) or default)

    @property
    def takes_batches(self) -> bool:
        return self.text("cardinality", "one").lower() == "many"

    @property
    def takes_bytes(self) -> bool:
        return self.text("dataType").lower() == "binary"

    @property
    def binds_sdk_type(self) -> bool:
        """Whether the parameter is an SDK client (deferred binding) rather than content."""
        properties = self.fields.get("properties") or {}
        return bool(properties.get("SupportsDeferredBinding") or properties.get("supportsDeferredBinding"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function of the app."""

    name: str
    function_id: str
    trigger: Trigger
    retry: RetryPolicy | None
    disabled: bool


def read_function(metadata: Any, settings: Mapping[str, str], raw_bindings: list[dict[str, Any]]) -> Function:
    """Turn one indexed function into a `Function`.

    Args:
        metadata: the runtime's `RpcFunctionMetadata`.
        settings: app settings, for `%NAME%` and `AzureWebJobs.<name>.Disabled`.
        raw_bindings: the function's bindings in function.json form.

    Raises:
        UnsupportedBindingError: no supported trigger, or an output other than an HTTP response.
        SettingMissingError: a binding names a missing setting.
    """
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        trigger=_read_trigger(metadata.name, raw_bindings, settings),
        retry=_read_retry(metadata.retry_options),
        disabled=settings.get(f"AzureWebJobs.{metadata.name}.Disabled", "").lower() in {"true", "1"},
    )


def _read_trigger(name: str, bindings: list[dict[str, Any]], settings: Mapping[str, str]) -> Trigger:
    triggers = [binding for binding in bindings if binding["type"] in TRIGGERS]
    others = [binding["type"] for binding in bindings if binding not in triggers and binding["type"] != "http"]
    if len(triggers) != 1 or others:
        raise UnsupportedBindingError(f"function {name}: cannot drive bindings {[b['type'] for b in bindings]}")
    fields = resolve_settings(triggers[0], settings)
    if fields.get("topicName"):
        raise UnsupportedBindingError(f"function {name}: the local bus has queues, no topics")
    return Trigger(kind=fields["type"], parameter=fields["name"], fields=fields)


def _read_retry(options: Any) -> RetryPolicy | None:
    if options is None:
        return None
    if options.retry_strategy == RetryStrategy.FIXED_DELAY:
        shortest = longest = options.delay_interval
    else:
        shortest, longest = options.minimum_interval, options.maximum_interval
    return RetryPolicy(
        strategy=RetryStrategy(options.retry_strategy),
        max_retry_count=options.max_retry_count,
        shortest=max(shortest, timedelta()),
        longest=longest,
    )
