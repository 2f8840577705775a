"""Timer triggers: each runs alone, on its schedule in UTC, at start-up if it asks for that."""

import asyncio
import json
import logging
import random
from datetime import UTC, datetime, timedelta

from emulator.host.cron import parse_schedule
from emulator.host.executions import Executions
from emulator.host.functions import Function
from emulator.host.invoker import Invoker
from emulator.host.retrying import invoke_with_retry
from emulator.host.rpc import TypedData

log = logging.getLogger("host.timer")
_PAST_DUE_AFTER = timedelta(seconds=1)


class TimerTrigger:
    """Drives one timer function.

    Args:
        executions: where a run goes on when `run` is cancelled.

    Raises:
        ValueError: the schedule cannot be read.
    """

    def __init__(self, function: Function, *, invoker: Invoker, executions: Executions) -> None:
        self.function = function
        self._executions = executions
        self._invoker = invoker
        self._schedule = parse_schedule(function.trigger.text("schedule"))
        self._last: datetime | None = None
        self._alone = asyncio.Lock()

    async def run(self) -> None:
        """Fire for ever; cancel to end."""
        if self.function.trigger.text("runOnStartup").lower() == "true":
            await self.fire(past_due=False)
        due = self._schedule.next_after(datetime.now(UTC))
        while True:
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
            if datetime.now(UTC) >= due:
                await self.fire(past_due=datetime.now(UTC) - due > _PAST_DUE_AFTER)
                due = self._schedule.next_after(max(due, datetime.now(UTC)))

    async def fire(self, *, past_due: bool) -> None:
        """Run the function now; waits for a run that is under way, because timers are singletons."""
        await self._executions.complete(self._fire(past_due))

    async def _fire(self, past_due: bool) -> None:
        async with self._alone:
            self._last = datetime.now(UTC)
            trigger = TypedData(json=json.dumps(self._timer_request(past_due)))
            await invoke_with_retry(self._invoker, self.function, trigger, {}, random.Random())

    def _timer_request(self, past_due: bool) -> dict[str, object]:
        now = datetime.now(UTC)
        return {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": (self._last or now).isoformat(),
                "LastUpdated": (self._last or now).isoformat(),
                "Next": self._schedule.next_after(now).isoformat(),
            },
            "IsPastDue": past_due,
        }
