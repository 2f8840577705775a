"""A simulated device's rollouts: the agent's own judgement, journal and reports over slots that are dictionaries."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC

from agent.codes import MEANINGS, Code
from agent.decisions import (
    AlreadyRuns,
    Approved,
    DeviceFacts,
    IndexView,
    Judgement,
    Notice,
    Refused,
    judge_offer,
    weigh_notice,
)
from agent.fleet.behaviour import Behaviour, BehaviourKind
from agent.fleet.slots import MemorySlots
from agent.fleet.surroundings import Surroundings
from agent.memory import End, Memory, OfferId, Pending, Phase, begin, count_boot, enter, note_answer, withdraw
from agent.ports import (
    IndexRefused,
    IndexUnavailable,
    TransferBroken,
    TransferCancelled,
    TransferPaused,
    TransferRefused,
)
from agent.reports import Reporter
from agent.resuming import Limits, Step, plan_next
from shared.domain.ids import DeviceId
from shared.domain.offers import Offer
from shared.domain.packages import Package, PackageKind
from shared.domain.rollouts import RolloutState
from shared.domain.windows import next_opening

log = logging.getLogger(__name__)

_KINDS = frozenset(kind.value for kind in PackageKind)


class Rebooting(Exception):
    """The device restarts now."""


class Interrupted(Exception):
    """Something newer than the offer in hand wants to be acted upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifeline:
    """How a rollout reaches its device.

    Attributes:
        send: Sends what is unsent; raises when the connection is gone.
        doze: Sleeps, unless there is news.
        look_up: Raises Interrupted when there is news, or as ``send``.
    """

    send: Callable[[], Awaitable[None]]
    doze: Callable[[float], Awaitable[None]]
    look_up: Callable[[], None]


class SimulatedRollouts:
    """Takes offers to their ends.

    Attributes:
        memory: What the real agent has in its journal.
        slots: What is installed, which is the truth about the device.
    """

    def __init__(
        self,
        device: DeviceId,
        surroundings: Surroundings,
        lifeline: Lifeline,
        *,
        properties: Mapping[str, str],
        installed: Mapping[str, str],
        behaviour: Behaviour,
    ) -> None:
        self._device = device
        self._around = surroundings
        self._lifeline = lifeline
        self._properties = dict(properties)
        self._behaviour = behaviour
        self._reporter = Reporter(device=device, hardware=properties.get("hardware", ""))
        self._boot = 0
        self._contents_fail: dict[str, bool] = {}
        self.memory = Memory()
        self.slots = MemorySlots(installed)

    def reboot(self) -> None:
        """The device has restarted."""
        self._boot += 1

    def regress(self) -> None:
        """Go back to the other slot, as a boot loader does on its own, and say so."""
        self.slots.switch()
        self.memory = self._reporter.correct(self.memory, self.slots.runs)

    async def take(self, offer: Offer | None, version: int) -> None:
        """Act upon the desired properties of that ``$version``.

        Raises:
            Interrupted: Something newer wants to be acted upon.
        """
        notice = weigh_notice(self.memory, offer, desired_version=version)
        if notice is Notice.WITHDRAW:
            self.memory = withdraw(self.memory)
        elif notice is Notice.ANSWER_AGAIN and self.memory.end is not None:
            self._answer(self.memory.end, version)
        elif notice is Notice.CONSIDER and offer is not None:
            await self._consider(offer, version)

    async def advance(self) -> None:
        """Take every step that can be taken without an offer.

        Raises:
            Rebooting: The next one is a restart.
        """
        while True:
            pending = self.memory.pending
            step = plan_next(pending, active_slot=self.slots.active, boot_id=self._boot_id, limits=Limits())
            await self._lifeline.send()
            if pending is None or step is Step.AWAIT_OFFER:
                return
            await self._do(step, pending)

    @property
    def _boot_id(self) -> str:
        return f"boot-{self._boot}"

    async def _consider(self, offer: Offer, version: int) -> None:
        match await self._judge(offer):
            case Refused(code=code, detail=detail, is_authentic=is_authentic):
                end = End(offer=OfferId.of(offer), state=MEANINGS[code][0], code=code.value, detail=detail)
                self._end(end, version) if is_authentic else self._answer(end, version)
            case AlreadyRuns():
                self._end(End(offer=OfferId.of(offer), state=RolloutState.SUCCEEDED), version)
            case Approved() as approved:
                await self._begin(offer, approved.package)
                await self._fetch(offer, approved, version)

    async def _judge(self, offer: Offer) -> Judgement:
        if self._behaviour.kind is BehaviourKind.REJECTS:
            return Refused(code=Code(self._behaviour.code), detail="as scripted", is_authentic=True)
        try:
            index = await self._look_up_patiently(offer)
        except IndexRefused as error:
            return Refused(code=Code.INDEX_REFUSED, detail=str(error), is_authentic=False)
        except IndexUnavailable as error:
            return Refused(code=Code.INDEX_UNAVAILABLE, detail=str(error), is_authentic=False)
        facts = DeviceFacts(device=self._device, properties=self._properties, installed=self.slots.runs, kinds=_KINDS)
        return judge_offer(offer, index, facts, now=self._around.clock.now())

    async def _look_up_patiently(self, offer: Offer) -> IndexView:
        patience, failures = self._around.pace.index, 0
        while True:
            try:
                return await self._around.index.look_up(offer.path)
            except IndexUnavailable:
                failures += 1
                if failures >= patience.attempts:
                    raise
            await self._lifeline.doze(patience.backoff.wait_s(failures, random.random()))
            self._lifeline.look_up()

    async def _begin(self, offer: Offer, package: Package) -> None:
        memory = begin(self.memory, offer, package, slots=(self.slots.active, self.slots.inactive))
        if memory is not self.memory:
            self.memory = self._reporter.progress(memory, RolloutState.DOWNLOADING, self.slots.runs)
            await self._lifeline.send()

    async def _fetch(self, offer: Offer, approved: Approved, version: int) -> None:
        package = approved.package
        try:
            self._contents_fail[package.sha256] = await self._fetch_patiently(package, offer.ticket)
            await self._await_window(approved)
        except TransferCancelled:
            self.memory = withdraw(self.memory)
        except TransferRefused as error:
            end = End(offer=OfferId.of(offer), state=RolloutState.FAILED, code=error.code.value, detail=error.detail)
            self._end(end, version)
        else:
            memory = note_answer(enter(self.memory, Phase.INSTALLING), offer.sequence, version)
            self.memory = self._reporter.progress(memory, RolloutState.INSTALLING, self.slots.runs)

    async def _fetch_patiently(self, package: Package, ticket: str) -> bool:
        patience, failures = self._around.pace.download, 0
        while True:
            try:
                contains_telltale = await self._around.contents.fetch(package, ticket)
            except TransferPaused as pause:
                wait_s = min(pause.retry_after_s, self._around.pace.longest_pause_s) * random.uniform(1.0, 1.2)
            except TransferBroken as error:
                failures += 1
                if failures >= patience.attempts:
                    raise TransferRefused(Code.DOWNLOAD_FAILED, str(error)) from error
                wait_s = patience.backoff.wait_s(failures, random.random())
            else:
                self._lifeline.look_up()
                return contains_telltale
            await self._lifeline.doze(wait_s)
            self._lifeline.look_up()

    async def _await_window(self, approved: Approved) -> None:
        while (opening := self._opening(approved)) > 0:
            await self._lifeline.doze(min(opening, self._around.pace.longest_pause_s))
            self._lifeline.look_up()

    def _opening(self, approved: Approved) -> float:
        """Seconds until a window opens; 0 while one is open."""
        now = self._around.clock.now()
        opening = next_opening(approved.windows, now, device_zone=UTC)
        if opening is None or (opening > now and opening >= approved.expires):
            raise TransferRefused(Code.INTENT_EXPIRED, "no window opens before the intent expires")
        return (opening - now).total_seconds()

    async def _do(self, step: Step, pending: Pending) -> None:
        match step:
            case Step.INSTALL:
                await self._install(pending)
            case Step.SWITCH | Step.SWITCH_BACK:
                self.memory = replace(self.memory, pending=replace(pending, boot_id=self._boot_id))
                self.slots.switch()
            case Step.RESTART:
                raise Rebooting
            case Step.CHECK_HEALTH:
                self._check_health(pending)
            case _:
                end = End(offer=pending.offer, state=RolloutState.FAILED, code=pending.code, detail=pending.detail)
                self._end(end)

    async def _install(self, pending: Pending) -> None:
        await asyncio.sleep(random.uniform(*self._around.pace.install_s) + self._behaviour.delay_s)
        if self._fails_to_install(pending):
            code = self._behaviour.code
            self._end(End(offer=pending.offer, state=RolloutState.FAILED, code=code, detail="as scripted"))
            return
        self.slots.install(pending.name, pending.version)
        memory = enter(self.memory, Phase.SWITCHING, boot_id=self._boot_id)
        self.memory = self._reporter.progress(memory, RolloutState.RESTARTING, self.slots.runs)

    def _fails_to_install(self, pending: Pending) -> bool:
        match self._behaviour.kind:
            case BehaviourKind.FAILS_INSTALL:
                return True
            case BehaviourKind.FAILS_AT_FIRST:
                return pending.offer.attempt <= self._behaviour.attempts
            case _:
                return False

    def _check_health(self, pending: Pending) -> None:
        self.memory = count_boot(self.memory)
        if self._behaviour.kind is BehaviourKind.FAILS_HEALTH or self._contents_fail.get(pending.sha256, False):
            code, detail = Code.HEALTH_CHECK_FAILED, "ended with 1: self-test failed"
            self.memory = enter(self.memory, Phase.ROLLING_BACK, boot_id=self._boot_id, code=code, detail=detail)
        else:
            self._end(End(offer=pending.offer, state=RolloutState.SUCCEEDED))

    def _end(self, end: End, version: int | None = None) -> None:
        memory = self._reporter.end(self.memory, end, self.slots.runs)
        self.memory = memory if version is None else note_answer(memory, end.offer.sequence, version)

    def _answer(self, end: End, version: int) -> None:
        answered = self._reporter.answer(self.memory, end, self.slots.runs)
        self.memory = note_answer(answered, end.offer.sequence, version)
