"""Executes a function under its retry policy, in process, as Azure does for Event Hubs and timers."""

import asyncio
import logging
import random
from collections.abc import Mapping

from emulator.host.functions import Function
from emulator.host.invoker import Call, Invoker, Outcome, RetryCount
from emulator.host.rpc import TypedData

log = logging.getLogger("host.retry")


async def invoke_with_retry(
    invoker: Invoker,
    function: Function,
    trigger: TypedData,
    metadata: Mapping[str, TypedData],
    rng: random.Random,
) -> Outcome:
    """Execute until it succeeds or the policy's retries are used up; without a policy, once.

    Returns:
        The last outcome.
    """
    outcome = await invoker.invoke(function, Call(trigger=trigger, metadata=metadata))
    policy = function.retry
    if policy is None:
        return outcome
    for retry, delay_s in enumerate(policy.delays_s(rng), start=1):
        if outcome.succeeded or not policy.allows(retry):
            return outcome
        log.warning("%s: retry %d in %.1f s", function.name, retry, delay_s)
        await asyncio.sleep(delay_s)
        count = RetryCount(retry=retry, max_retries=policy.max_retry_count)
        outcome = await invoker.invoke(function, Call(trigger=trigger, metadata=metadata, retry=count))
    raise AssertionError("a policy's delays never end")
