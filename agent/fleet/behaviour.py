"""How a simulated device behaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BehaviourKind(StrEnum):
    """What a simulated device does with an offer."""

    OK = "ok"
    FAILS_HEALTH = "fails_health"
    FAILS_INSTALL = "fails_install"
    FAILS_AT_FIRST = "fails_at_first"
    REJECTS = "rejects"
    SILENT = "silent"
    SLOW = "slow"
    FLAPPING = "flapping"
    REPORTS_TWICE = "reports_twice"
    OFFLINE_UNTIL = "offline_until"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A script for one device.

    ``ok`` installs what passes all checks, and fails its health check if the content holds the self-test's telltale;
    ``silent`` stays connected and does nothing; ``flapping`` repeats its previous report after each new one, and then
    the new one again.

    Attributes:
        code: Of ``fails_install`` and ``rejects``.
        attempts: Of ``fails_at_first``: how many attempts fail to install before one succeeds.
        delay_s: Of ``slow``: how much longer installing takes.
        event: Of ``offline_until``: the name of what it waits for, see ``SimulatedFleet.occur``.
    """

    kind: BehaviourKind = BehaviourKind.OK
    code: str = ""
    attempts: int = 0
    delay_s: float = 0.0
    event: str = ""


OK = Behaviour()
FAILS_HEALTH = Behaviour(kind=BehaviourKind.FAILS_HEALTH)
SILENT = Behaviour(kind=BehaviourKind.SILENT)
FLAPPING = Behaviour(kind=BehaviourKind.FLAPPING)
REPORTS_TWICE = Behaviour(kind=BehaviourKind.REPORTS_TWICE)


def fails_install(code: str = "install_failed") -> Behaviour:
    """Downloads, then fails with the code."""
    return Behaviour(kind=BehaviourKind.FAILS_INSTALL, code=code)


def fails_at_first(attempts: int = 1) -> Behaviour:
    """Fails to install in its first attempts, and succeeds in the next."""
    return Behaviour(kind=BehaviourKind.FAILS_AT_FIRST, code="install_failed", attempts=attempts)


def rejects(code: str = "incompatible") -> Behaviour:
    """Refuses every offer with the code."""
    return Behaviour(kind=BehaviourKind.REJECTS, code=code)


def slow(delay_s: float) -> Behaviour:
    """Installs that much more slowly."""
    return Behaviour(kind=BehaviourKind.SLOW, delay_s=delay_s)


def offline_until(event: str) -> Behaviour:
    """Does not connect before the event has occurred."""
    return Behaviour(kind=BehaviourKind.OFFLINE_UNTIL, event=event)


def parse_behaviour(text: str) -> Behaviour:
    """A behaviour from its name and, after a colon, its parameter: ``slow:5``, ``fails_install:install_failed``.

    Raises:
        ValueError: There is no such behaviour, or its parameter is none.
    """
    name, _, parameter = text.partition(":")
    match BehaviourKind(name):
        case BehaviourKind.SLOW:
            return slow(float(parameter))
        case BehaviourKind.FAILS_INSTALL:
            return fails_install(parameter or "install_failed")
        case BehaviourKind.FAILS_AT_FIRST:
            return fails_at_first(int(parameter or "1"))
        case BehaviourKind.REJECTS:
            return rejects(parameter or "incompatible")
        case BehaviourKind.OFFLINE_UNTIL:
            return offline_until(parameter)
        case kind:
            return Behaviour(kind=kind)
