"""One simulated device: its connection, its twin and its reports."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.fleet.behaviour import OK, Behaviour, BehaviourKind
from agent.fleet.credentials import Credentials
from agent.fleet.link import Link
from agent.fleet.mirror import TwinMirror
from agent.fleet.rollout import Interrupted, Lifeline, Rebooting, SimulatedRollouts
from agent.fleet.surroundings import Surroundings
from agent.ports import ChannelDown, ChannelThrottled
from shared.domain.errors import MalformedMessage
from shared.wire.twins import MAX_HARDWARE_LENGTH, read_offer

log = logging.getLogger(__name__)


class SimulatedDevice:
    """A device that lives as long as ``run`` does.

    Attributes:
        state: The last state the hub accepted a report of; empty before the first.
        connected: Set once the device has been connected and has read its twin.
    """

    def __init__(
        self,
        credentials: Credentials,
        surroundings: Surroundings,
        *,
        properties: Mapping[str, str],
        installed: Mapping[str, str],
        behaviour: Behaviour = OK,
    ) -> None:
        self._credentials = credentials
        self._hardware = properties.get("hardware", "")[:MAX_HARDWARE_LENGTH]
        self._around = surroundings
        self._behaviour = behaviour
        self._mirror = TwinMirror()
        self._link: Link | None = None
        self._previous: Mapping[str, Any] | None = None
        self._rollouts = SimulatedRollouts(
            credentials.device,
            surroundings,
            Lifeline(send=self._send, doze=self._mirror.doze, look_up=self._look_up),
            properties=properties,
            installed=installed,
            behaviour=behaviour,
        )
        self.state = ""
        self.connected = asyncio.Event()

    @property
    def installed(self) -> dict[str, str]:
        """What the device runs."""
        return self._rollouts.slots.runs

    async def run(self) -> None:
        """Be the device until cancelled."""
        if self._behaviour.kind is BehaviourKind.OFFLINE_UNTIL:
            await self._around.occurrence(self._behaviour.event).wait()
        failures = 0
        while True:
            try:
                await self._connect()
                failures = 0
                await self._serve()
            except Rebooting:
                self._rollouts.reboot()
                wait_s = random.uniform(*self._around.pace.restart_s)
            except (ChannelDown, ChannelThrottled) as error:
                failures += 1
                wait_s = self._around.pace.retry.wait_s(failures, random.random())
                log.info("%s: %s, again in %.1f s", self._credentials.device, error, wait_s)
            finally:
                self._disconnect()
            await asyncio.sleep(wait_s)

    def regress(self) -> None:
        """Go back to the other slot and report it."""
        self._rollouts.regress()
        self._mirror.news.set()

    def tick(self) -> None:
        """Keep the connection alive; to be called every few seconds."""
        if self._link is not None:
            self._link.tick()

    async def _connect(self) -> None:
        async with self._around.doors:
            link = Link(
                self._credentials, self._around.tls, on_desired=self._mirror.hear, on_lost=self._mirror.news.set
            )
            self._link = link
            await link.open(self._around.handshakes)
        await self._mirror.read(link)
        if self._hardware and self._mirror.hardware != self._hardware:
            await self._patiently(lambda: link.introduce(self._hardware))
        self.connected.set()

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _serve(self) -> None:
        while True:
            link = self._open_link()
            self._mirror.news.clear()
            if self._mirror.is_stale:
                await self._mirror.read(link)
            await self._rollouts.advance()
            if self._mirror.is_unhandled and self._behaviour.kind is not BehaviourKind.SILENT:
                await self._take()
            else:
                await self._mirror.news.wait()

    async def _take(self) -> None:
        version = self._mirror.handled = self._mirror.version
        try:
            await self._rollouts.take(read_offer(self._credentials.device, self._mirror.desired), version)
        except MalformedMessage as error:
            log.warning("%s: %s", self._credentials.device, error.message)
        except Interrupted:
            self._mirror.handled = -1
        except (ChannelDown, ChannelThrottled):
            # Not done with it: the next connection takes it up again.
            self._mirror.handled = -1
            raise

    def _open_link(self) -> Link:
        if self._link is None or self._link.is_closed:
            raise ChannelDown("the connection was lost")
        return self._link

    def _look_up(self) -> None:
        self._open_link()
        if self._mirror.is_unhandled:
            raise Interrupted

    async def _send(self) -> None:
        unsent = self._rollouts.memory.unsent
        if unsent is None:
            return
        for document in self._script(unsent):
            await self._send_one(document)
        self._previous, self.state = unsent, unsent["state"]
        self._rollouts.memory = replace(self._rollouts.memory, unsent=None)

    def _script(self, report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if self._behaviour.kind is BehaviourKind.REPORTS_TWICE:
            return [report, report]
        if self._behaviour.kind is BehaviourKind.FLAPPING and self._previous is not None:
            return [report, self._previous, report]
        return [report]

    async def _send_one(self, document: Mapping[str, Any]) -> None:
        await self._patiently(lambda: self._open_link().report(document))

    async def _patiently(self, send: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                return await send()
            except ChannelThrottled:
                failures += 1
                await asyncio.sleep(self._around.pace.retry.wait_s(failures, random.random()))
