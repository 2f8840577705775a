"""Keep the index alive and wake people in time: when it cannot be signed, and when its owners must sign."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from shared.domain.errors import DomainError, TrustError
from shared.handlers.alerts import raise_alert
from shared.handlers.index_writing import IndexWriter
from shared.handlers.refresh_index import Refreshed, refresh_index
from shared.ports.bus import EventPublisher
from shared.ports.errors import KeyUnusable, PortError
from shared.telemetry.signals import Signal, emit
from shared.trust.index import Index

log = logging.getLogger(__name__)

SUBJECT = "index"
OWNERS_WARNING = timedelta(days=60)
"""A ceremony takes several people's calendars."""


def watch_index(writer: IndexWriter, events: EventPublisher, *, now: datetime) -> Refreshed:
    """Refresh the index.

    Raises:
        PortError, TrustError: It could not be signed anew; people have been told, and the next run tries again.
    """
    try:
        refreshed = refresh_index(writer, now=now)
    except (PortError, DomainError) as error:
        raise_alert(events, subject=SUBJECT, code=_code(error), message=_complain(writer, error), now=now)
        raise
    index = writer.open().value
    _tell_days_left(index, now)
    _warn_owners(index, events, now)
    return refreshed


def _tell_days_left(index: Index, now: datetime) -> None:
    for role in (index.root, index.targets, index.snapshot, index.timestamp):
        days_left = round((role.signed.expires - now) / timedelta(days=1), 2)
        message = f"the index was signed anew; its {role.signed.type} expires in {days_left} days"
        emit(log, Signal.INDEX_REFRESHED, message, role=role.signed.type, days_left=days_left)


def _code(error: Exception) -> str:
    match error:
        case KeyUnusable():
            return "index_key_unusable"
        case TrustError():
            return error.code
        case _:
            return "index_not_refreshed"


def _complain(writer: IndexWriter, error: Exception) -> str:
    return f"the index could not be signed anew: {error}. {_time_left(writer)}"


def _time_left(writer: IndexWriter) -> str:
    """Until when devices believe the index as it is."""
    try:
        expires = writer.open().value.timestamp.signed.expires
    except (PortError, DomainError):
        return "Until when devices believe it cannot be read."
    return f"Devices believe it until {expires:%Y-%m-%d %H:%M} UTC."


def _warn_owners(index: Index, events: EventPublisher, now: datetime) -> None:
    for role, expires in (("root", index.root.signed.expires), ("targets", index.targets.signed.expires)):
        if expires - now < OWNERS_WARNING:
            message = f"the index's {role} expires on {expires:%Y-%m-%d}; its owners must sign a new one before"
            raise_alert(events, subject=SUBJECT, code=f"{role}_expires", message=message, now=now)
