"""The journal's state machine: which step comes next, from what the journal and the slots say alone.

Asked again after every step and after every start of the process, so that a crash anywhere leads to the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.memory import Pending, Phase


class Step(StrEnum):
    """What to do next about the pending rollout."""

    REST = "rest"
    AWAIT_OFFER = "await_offer"
    INSTALL = "install"
    GIVE_UP_INSTALL = "give_up_install"
    SWITCH = "switch"
    RESTART = "restart"
    CHECK_HEALTH = "check_health"
    ROLL_BACK = "roll_back"
    SWITCH_BACK = "switch_back"
    END_ROLLED_BACK = "end_rolled_back"
    END_NOT_BOOTED = "end_not_booted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an agent stops trying.

    Attributes:
        installs: Installs begun (and ended by a crash) before the rollout fails.
        boots: Unconfirmed starts of the new slot before the device goes back; also the switches to one slot that came
            to nothing.
    """

    installs: int = 3
    boots: int = 3


def plan_next(
    pending: Pending | None, *, active_slot: str, boot_id: str, limits: Limits, is_confirmed: bool = True
) -> Step:
    """The next step; ``boot_id`` names the present boot of the device.

    ``is_confirmed`` tells that the offer was seen in the twin in this life of the process; without it nothing is
    installed, because the offer may have been taken back, or have expired, while the device was off.
    """
    if pending is None:
        return Step.REST
    match pending.phase:
        case Phase.DOWNLOADING:
            return Step.AWAIT_OFFER
        case Phase.INSTALLING:
            if pending.installs >= limits.installs:
                return Step.GIVE_UP_INSTALL
            return Step.INSTALL if is_confirmed else Step.AWAIT_OFFER
        case Phase.SWITCHING:
            return _plan_forward(pending, active_slot, boot_id, limits)
        case Phase.ROLLING_BACK:
            return _plan_back(pending, active_slot, boot_id, limits)


def _plan_forward(pending: Pending, active_slot: str, boot_id: str, limits: Limits) -> Step:
    if active_slot != pending.to_slot:
        # A boot loader that gives a slot up makes the other one active; to switch again would restart for ever.
        was_tried = pending.tried_boot_id not in ("", boot_id)
        return Step.END_NOT_BOOTED if was_tried or pending.switches >= limits.boots else Step.SWITCH
    if boot_id == pending.boot_id:
        return Step.RESTART
    return Step.CHECK_HEALTH if pending.boots < limits.boots else Step.ROLL_BACK


def _plan_back(pending: Pending, active_slot: str, boot_id: str, limits: Limits) -> Step:
    if active_slot != pending.from_slot:
        # Where not even the old slot comes up, the report says what does.
        return Step.SWITCH_BACK if pending.switches < limits.boots else Step.END_ROLLED_BACK
    return Step.RESTART if boot_id == pending.boot_id else Step.END_ROLLED_BACK
