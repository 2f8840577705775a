"""Signals: log records with a name and fields, which alerts and the workbook count (``infra/alerts.json``).

A signal is emitted where the thing is known, and nowhere else. It holds ids and numbers, and no secret (I10).
"""

from __future__ import annotations

import logging
from enum import StrEnum

PREFIX = "groundswell."
NAME = f"{PREFIX}signal"

EVENT_TO_TABLE_S = 60.0
"""A report counts as late when more than this lies between the device's write to its twin and ours to the table."""

_MAX_CHARS = 2_000


class Signal(StrEnum):
    """The names; each says which fields it has.

    Attributes:
        PARKED: A message or event that nobody can read was set aside: ``source``, ``code``.
        THROTTLED: A service of Azure asked for fewer calls: ``service``, ``calls``.
        QUOTA_USED_UP: The IoT Hub takes nothing more today.
        CAMPAIGN_CHANGED: A campaign's state changed: ``campaign``, ``state``, ``former``, and ``failed_wave``, the
            number of the wave whose gate stopped it, or 0.
        INDEX_REFRESHED: The index was signed anew: ``role``, and the ``days_left`` of each role, one signal per role.
        RESUMED: Overdue steps are looked for, as every minute.
        RECONCILED: Quiet rows were compared with their twins: ``reads``, ``differences``.
        RELAYED: Twin changes were carried over: ``events``, ``reports``, ``lag_s`` of the oldest of them.
        FOLDED: Reports were written to the table: ``reports``, ``late``, ``slowest_s``.
        ALERT: Somebody should look: ``code``, ``about``.
    """

    PARKED = "parked"
    THROTTLED = "throttled"
    QUOTA_USED_UP = "quota_used_up"
    CAMPAIGN_CHANGED = "campaign_changed"
    INDEX_REFRESHED = "index_refreshed"
    RESUMED = "resumed"
    RECONCILED = "reconciled"
    RELAYED = "relayed"
    FOLDED = "folded"
    ALERT = "alert"


FIELDS: dict[Signal, frozenset[str]] = {
    Signal.PARKED: frozenset({"source", "code"}),
    Signal.THROTTLED: frozenset({"service", "calls"}),
    Signal.QUOTA_USED_UP: frozenset(),
    Signal.CAMPAIGN_CHANGED: frozenset({"campaign", "state", "former", "failed_wave"}),
    Signal.INDEX_REFRESHED: frozenset({"role", "days_left"}),
    Signal.RESUMED: frozenset(),
    Signal.RECONCILED: frozenset({"reads", "differences"}),
    Signal.RELAYED: frozenset({"events", "reports", "lag_s"}),
    Signal.FOLDED: frozenset({"campaign", "reports", "late", "slowest_s"}),
    Signal.ALERT: frozenset({"code", "about"}),
}
"""What each is emitted with; the queries in ``infra`` may ask for nothing else."""


def emit(
    log: logging.Logger, signal: Signal, message: str, *, level: int = logging.INFO, **fields: str | int | float
) -> None:
    """Log the message, which is for people, with the signal and its fields, which are for queries.

    Raises:
        ValueError: The fields are not those of the signal.
    """
    if fields.keys() != FIELDS[signal]:
        raise ValueError(f"{signal} has the fields {sorted(FIELDS[signal])}, not {sorted(fields)}")
    told = {name: _sayable(content) if isinstance(content, str) else content for name, content in fields.items()}
    extra = {f"{PREFIX}{name}": content for name, content in told.items()}
    log.log(level, "%s", _sayable(message), extra={NAME: signal.value, **extra}, stacklevel=2)


def _sayable(text: str) -> str:
    """The text, which may be a stranger's, in a length and in characters that every log takes."""
    return text[:_MAX_CHARS].encode(errors="backslashreplace").decode()
