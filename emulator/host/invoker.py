"""Runs one function once, through the code that Azure's Python worker runs."""

import asyncio
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime import handle_event
from azure_functions_runtime.utils.executor import invocation_id_cv

from emulator.host.functions import Function
from emulator.host.logs import function_name_cv
from emulator.host.rpc import ParameterBinding, StatusResult, TypedData

log = logging.getLogger("host.invoke")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryCount:
    """Where an execution stands in its retry policy; the function sees it as `context.retry_context`."""

    retry: int = 0
    max_retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a trigger hands to a function: the trigger's value and the metadata beside it."""

    trigger: TypedData
    metadata: Mapping[str, TypedData] = field(default_factory=dict)
    retry: RetryCount = RetryCount()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an execution ended.

    Attributes:
        returned: what `$return` holds (an `http` value for HTTP functions), None without one.
        error: `Type: message` of the exception, None on success.
    """

    returned: TypedData | None
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.error is None


class Invoker:
    """Executes functions: asynchronous ones on the loop, others on the worker's thread pool.

    Args:
        timeout_s: host.json's functionTimeout; None for none.
    """

    def __init__(self, *, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self.running = 0

    async def invoke(self, function: Function, call: Call) -> Outcome:
        """Execute `function`; a failure is in the outcome and in the log, never raised."""
        invocation_id = str(uuid.uuid4())
        with _named_in_logs(function.name, invocation_id):
            self.running += 1
            log.info("executing")
            try:
                return await self._run(function, call, invocation_id)
            finally:
                self.running -= 1

    async def _run(self, function: Function, call: Call, invocation_id: str) -> Outcome:
        request = _invocation_request(function, call, invocation_id)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await handle_event.invocation_request(request)
        except TimeoutError:
            # Azure ends the whole worker process here; a thread cannot be ended, so it is left behind.
            log.error("failed: functionTimeout of %s s exceeded", self._timeout_s)
            return Outcome(returned=None, error="FunctionTimeoutException: functionTimeout exceeded")
        return _read_response(response)


@contextmanager
def _named_in_logs(function_name: str, invocation_id: str) -> Iterator[None]:
    tokens = function_name_cv.set(function_name), invocation_id_cv.set(invocation_id)
    try:
        yield
    finally:
        function_name_cv.reset(tokens[0])
        invocation_id_cv.reset(tokens[1])


def _invocation_request(function: Function, call: Call, invocation_id: str) -> Any:
    fields = SimpleNamespace(
        invocation_id=invocation_id,
        function_id=function.function_id,
        input_data=[ParameterBinding(name=function.trigger.parameter, data=call.trigger)],
        trigger_metadata=dict(call.metadata),
        trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
        retry_context=SimpleNamespace(
            retry_count=call.retry.retry, max_retry_count=call.retry.max_retries, exception=None
        ),
    )
    return SimpleNamespace(request=SimpleNamespace(invocation_request=fields))


def _read_response(response: Any) -> Outcome:
    if response.result.status == StatusResult.Success:
        log.info("succeeded")
        return Outcome(returned=response.return_value, error=None)
    exception = response.result.exception
    log.error("failed: %s\n%s", exception.message, exception.stack_trace)
    return Outcome(returned=None, error=exception.message)
