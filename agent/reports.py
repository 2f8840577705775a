"""Composing reports: which states are worth a twin write, and what stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent import AGENT_VERSION
from agent.memory import End, Memory, OfferId, finish
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import FINAL, MAX_DETAIL_LENGTH, OrderMark, Report, RolloutState
from shared.wire.twins import write_report

DEFAULT_STATES = frozenset({RolloutState.DOWNLOADING, RolloutState.INSTALLING, RolloutState.RESTARTING})
"""What a gate can use besides the end; each further state costs the hub a write per device (DESIGN.md, Report)."""

# The hub marks a report when it accepts it; a report not yet sent has no place in the order.
_UNMARKED = OrderMark(last_updated=datetime.min.replace(tzinfo=UTC), version=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Puts reports into the memory, from where they are sent.

    Attributes:
        states: The states on the way that are reported; ends always are.
        hardware: What the device is, so that the service can tell kinds of devices apart.
    """

    device: DeviceId
    states: frozenset[RolloutState] = DEFAULT_STATES
    hardware: str = ""

    def progress(self, memory: Memory, state: RolloutState, installed: Mapping[str, str]) -> Memory:
        """The memory with a report of the pending rollout's state to send, if that state is reported at all."""
        if memory.pending is None or state not in self.states:
            return memory
        return replace(memory, unsent=self._compose(memory.pending.offer, state, "", "", installed))

    def end(self, memory: Memory, end: End, installed: Mapping[str, str]) -> Memory:
        """The memory after the rollout ended, with the report of it to send."""
        return self.answer(finish(memory, end), end, installed)

    def answer(self, memory: Memory, end: End, installed: Mapping[str, str]) -> Memory:
        """The memory with an end to report, whether or not it ended anything here."""
        if end.state not in FINAL:
            raise ValueError(f"{end.state} is no end")
        report = self._compose(end.offer, end.state, end.code, end.detail, installed)
        return replace(memory, told=dict(installed), unsent=report)

    def correct(self, memory: Memory, installed: Mapping[str, str]) -> Memory:
        """The memory with the latest end to report anew, if the device runs something else than it then said.

        Somebody, or a boot loader, changed it without an offer; whoever counted it a success must learn of that.
        """
        if memory.end is None or memory.pending is not None or memory.told in (None, dict(installed)):
            return memory
        return self.answer(memory, memory.end, installed)

    def _compose(
        self, offer: OfferId, state: RolloutState, code: str, detail: str, installed: Mapping[str, str]
    ) -> dict[str, Any]:
        return write_report(
            Report(
                device=self.device,
                campaign=CampaignId(offer.campaign),
                wave=offer.wave,
                attempt=offer.attempt,
                sequence=offer.sequence,
                state=state,
                code=code,
                detail=detail[-MAX_DETAIL_LENGTH:],
                installed=installed,
                agent_version=AGENT_VERSION,
                hardware=self.hardware,
                mark=_UNMARKED,
            )
        )
