"""When a device registers, and when it does so again: never in a hot loop, whatever hub and service answer."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field

from agent.backoff import Backoff
from agent.inbox import Inbox
from agent.ports import (
    Assignment,
    AssignmentStore,
    ChannelDown,
    Clock,
    OutsideError,
    Registrar,
    RegistrationPutOff,
    RegistrationRefused,
)

log = logging.getLogger(__name__)

_GLANCE_S = 60.0

LONGEST_PUT_OFF_S = 3600.0
"""No ``retry-after`` is believed beyond this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolManner:
    """How an enroller goes about it.

    Attributes:
        backoff: Of registrations, failed or not, one after the other.
        refusals: As many of the hub in a row, and the assignment is doubted.
        unreachable_s: After as many seconds without a connection to the hub it is doubted, too.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(initial_s=30.0, longest_s=3600.0))
    refusals: int = 3
    unreachable_s: float = 6 * 3600.0


class Enroller:
    """Holds the assignment.

    Attributes:
        assignment: What the device goes by; None until it has been assigned.
    """

    def __init__(self, registrar: Registrar, store: AssignmentStore, clock: Clock, manner: EnrolManner) -> None:
        self._registrar = registrar
        self._store = store
        self._clock = clock
        self._manner = manner
        self.assignment = store.read()
        self._is_kept = True
        self._attempts = 0
        self._not_before_s = clock.monotonic_s()
        self._refusals = 0
        self._out_since_s: float | None = None

    def await_assignment(self, inbox: Inbox) -> Assignment | None:
        """The assignment, as soon as there is one; None where the process shall end first."""
        while self.assignment is None and not inbox.is_stopping:
            left_s = self._not_before_s - self._clock.monotonic_s()
            if left_s > 0:
                inbox.wait(min(left_s, _GLANCE_S))
                continue
            self.try_enrol()
        return self.assignment

    def note_connection(self) -> None:
        """The hub let the device in; an assignment that the disk has not taken is offered to it again."""
        self._refusals, self._out_since_s = 0, None
        if not self._is_kept and self.assignment is not None:
            self._keep(self.assignment)

    def note_refusal(self) -> None:
        """The hub does not let the device in."""
        self._refusals, self._out_since_s = self._refusals + 1, None

    def note_outage(self) -> None:
        """The hub could not be reached."""
        self._refusals = 0
        if self._out_since_s is None:
            self._out_since_s = self._clock.monotonic_s()

    @property
    def is_in_doubt(self) -> bool:
        """Whether it is time to ask for the assignment anew."""
        now_s = self._clock.monotonic_s()
        is_out = self._out_since_s is not None and now_s - self._out_since_s >= self._manner.unreachable_s
        return now_s >= self._not_before_s and (is_out or self._refusals >= self._manner.refusals)

    def try_enrol(self) -> Assignment | None:
        """Register once; the assignment, or None where that failed: logged, and the next one put off."""
        try:
            assignment = self._registrar.register()
        except RegistrationPutOff as error:
            self._put_off(error, at_least_s=min(error.retry_after_s, LONGEST_PUT_OFF_S))
        except (RegistrationRefused, ChannelDown) as error:
            self._put_off(error)
        else:
            self._take(assignment)
            return assignment
        return None

    def _take(self, assignment: Assignment) -> None:
        self._space_out()
        log.info("assigned to %s as %s", assignment.hub, assignment.device)
        self.assignment, self._is_kept = assignment, False
        self.note_connection()

    def _keep(self, assignment: Assignment) -> None:
        try:
            self._store.write(assignment)
            self._is_kept = True
        except OSError as error:
            # Registering again after the next start costs less than a device that nobody reaches.
            log.error("the assignment cannot be written: %s", error)

    def _put_off(self, error: OutsideError, *, at_least_s: float = 0.0) -> None:
        self._space_out(at_least_s)
        level = logging.WARNING if isinstance(error, RegistrationRefused) else logging.INFO
        log.log(level, "%s; registering again in %.1f s", error, self._not_before_s - self._clock.monotonic_s())

    def _space_out(self, at_least_s: float = 0.0) -> None:
        """Have the next registration wait, the longer the more of them came close together."""
        now_s, backoff = self._clock.monotonic_s(), self._manner.backoff
        # From when it might have registered: neither a long wait nor a long attempt makes the next ones come sooner.
        if now_s - self._not_before_s > backoff.longest_s:
            self._attempts = 0
        self._attempts += 1
        self._not_before_s = now_s + at_least_s + backoff.wait_s(self._attempts, random.random())
