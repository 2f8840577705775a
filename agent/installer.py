"""Takes a verified rollout from its downloaded content to its end, step by journalled step, across restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.codes import Code
from agent.install.registry import Handlers
from agent.install.space import is_disk_full
from agent.memory import (
    End,
    Memory,
    OfferId,
    Pending,
    Phase,
    count_boot,
    count_install,
    count_switch,
    enter,
    note_restart,
    take_slots,
)
from agent.notebook import Notebook
from agent.ports import Content, HealthCheck, InstallFailed, Restarter, Slots, Transfer
from agent.reports import Reporter
from agent.resuming import Limits, Step, plan_next
from shared.domain.packages import PackageKind
from shared.domain.rollouts import RolloutState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a package is installed on and with."""

    slots: Slots
    handlers: Handlers
    transfer: Transfer
    health: HealthCheck
    restarter: Restarter
    limits: Limits = field(default_factory=Limits)


class Installer:
    """Does what ``plan_next`` says until the rollout rests or the process is replaced by a restart.

    ``before_restart`` is called last of all, for a final attempt to send what is unsent.

    Attributes:
        confirmed: The offer that was seen in the twin in this life of the process, and may be installed.
        has_lost_content: Whether the content vanished, so that the offer must be taken up again.
    """

    def __init__(
        self, notebook: Notebook, device: Device, reporter: Reporter, *, before_restart: Callable[[], None]
    ) -> None:
        self._notebook = notebook
        self._device = device
        self._reporter = reporter
        self._before_restart = before_restart
        self.confirmed: OfferId | None = None
        self.has_lost_content = False
        self._steps: dict[Step, Callable[[Pending], None]] = {
            Step.INSTALL: self._install,
            Step.GIVE_UP_INSTALL: self._give_up_install,
            Step.SWITCH: lambda pending: self._switch(pending, pending.to_slot),
            Step.RESTART: self._restart,
            Step.CHECK_HEALTH: self._check_health,
            Step.ROLL_BACK: self._roll_back_unconfirmed,
            Step.SWITCH_BACK: lambda pending: self._switch(pending, pending.from_slot),
            Step.END_ROLLED_BACK: self._end_rolled_back,
            Step.END_NOT_BOOTED: self._end_not_booted,
        }

    def advance(self) -> None:
        """Take every step that can be taken without the hub."""
        while True:
            pending = self._notebook.memory.pending
            step = plan_next(
                pending,
                active_slot=self._device.slots.active(),
                boot_id=self._device.restarter.boot_id,
                limits=self._device.limits,
                is_confirmed=pending is not None and pending.offer == self.confirmed,
            )
            if pending is None or step in (Step.REST, Step.AWAIT_OFFER):
                return
            log.info("%s %s: %s", pending.name, pending.version, step.value)
            self._steps[step](pending)

    def _install(self, pending: Pending) -> None:
        file = self._device.transfer.find_content(pending.sha256)
        if file is None:
            self._notebook.write(enter(self._notebook.memory, Phase.DOWNLOADING))
            self.has_lost_content = True
            return
        try:
            slots = (self._device.slots.active(), self._device.slots.inactive())
            self._notebook.write(count_install(take_slots(self._notebook.memory, slots)))
            self._write_slot(pending, file, into=slots[1])
        except InstallFailed as error:
            self._fail_install(pending, Code.INSTALL_FAILED, str(error))
            return
        except OSError as error:
            code = Code.NO_SPACE if is_disk_full(error) else Code.INSTALL_FAILED
            self._fail_install(pending, code, str(error))
            return
        memory = enter(self._notebook.memory, Phase.SWITCHING, boot_id=self._device.restarter.boot_id)
        self._notebook.write(self._reporter.progress(memory, RolloutState.RESTARTING, self._runs()))

    def _write_slot(self, pending: Pending, file: Path, *, into: str) -> None:
        content = Content(
            file=file,
            name=pending.name,
            version=pending.version,
            length_bytes=pending.length_bytes,
            sha256=pending.sha256,
        )
        handler = self._device.handlers[PackageKind(pending.kind)]
        slots = self._device.slots
        slot = slots.copy_active(room_bytes=pending.length_bytes)
        if slot != into:
            raise InstallFailed(f"slot {slot} was made ready instead of {into}")
        held = slots.installed(slot)
        slots.seal(slot, handler.install(content, slots.folder(slot), held))

    def _give_up_install(self, pending: Pending) -> None:
        detail = f"installing was begun {pending.installs} times and never came to its end"
        self._fail_install(pending, Code.INSTALL_FAILED, detail)

    def _fail_install(self, pending: Pending, code: Code, detail: str) -> None:
        # Before the journal is written, because what is removed may be what fills the disk.
        self._device.slots.discard_inactive()
        self._device.transfer.discard_all()
        self._end(pending, RolloutState.FAILED, code, detail)

    def _switch(self, pending: Pending, slot: str) -> None:
        # Whoever switches must restart after it, even if the switch was journalled in an earlier boot.
        write = self._write_for(pending)
        write(count_switch(self._notebook.memory, self._device.restarter.boot_id))
        self._device.slots.activate(slot)

    def _restart(self, pending: Pending) -> None:
        log.info("restarting into slot %s", self._device.slots.active())
        write = self._write_for(pending)
        write(note_restart(self._notebook.memory, self._device.restarter.boot_id))
        self._before_restart()
        self._device.restarter.restart()

    def _check_health(self, pending: Pending) -> None:
        try:
            self._notebook.write(count_boot(self._notebook.memory))
        except OSError as error:
            # Uncounted, an unhealthy slot would be started for ever.
            self._roll_back(f"the journal cannot be written: {error}")
            return
        # The health check knows nothing of versions: the old software is healthy too.
        if (runs := self._runs().get(pending.name)) != pending.version:
            self._roll_back(f"the active slot holds {pending.name} {runs}, not {pending.version}")
            return
        slots = self._device.slots
        verdict = self._device.health.examine(slots.folder(slots.active()), name=pending.name, version=pending.version)
        if verdict.is_healthy:
            self._end(pending, RolloutState.SUCCEEDED)
        else:
            self._roll_back(verdict.detail)

    def _roll_back_unconfirmed(self, pending: Pending) -> None:
        self._roll_back(f"started {pending.boots} times without coming to a verdict")

    def _roll_back(self, detail: str) -> None:
        boot_id = self._device.restarter.boot_id
        code = Code.HEALTH_CHECK_FAILED
        self._notebook.write_or_hold(
            enter(self._notebook.memory, Phase.ROLLING_BACK, boot_id=boot_id, code=code, detail=detail)
        )

    def _end_rolled_back(self, pending: Pending) -> None:
        self._end(pending, RolloutState.FAILED, pending.code, pending.detail)

    def _end_not_booted(self, pending: Pending) -> None:
        detail = f"slot {pending.to_slot} was made active {pending.switches} times; the device runs {pending.from_slot}"
        self._end(pending, RolloutState.FAILED, Code.SLOT_DID_NOT_BOOT, detail)

    def _end(self, pending: Pending, state: RolloutState, code: str = "", detail: str = "") -> None:
        end = End(offer=pending.offer, state=state, code=code, detail=detail)
        # A failure is told even by a device whose disk takes nothing; a success must not be told and forgotten.
        write = self._notebook.write if state is RolloutState.SUCCEEDED else self._notebook.write_or_hold
        write(self._reporter.end(self._notebook.memory, end, self._runs()))
        self._device.transfer.discard_all()
        log.info("%s %s ended: %s %s", pending.name, pending.version, state.value, code)

    def _write_for(self, pending: Pending) -> Callable[[Memory], None]:
        # Going back needs a rename only, and must not depend on room for the journal.
        return self._notebook.write_or_hold if pending.phase is Phase.ROLLING_BACK else self._notebook.write

    def _runs(self) -> dict[str, str]:
        slots = self._device.slots
        return dict(slots.installed(slots.active()))
