"""Waking people. Nothing of ours depends on an alert: a topic that is down must not make anything worse."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime

from shared.ports.bus import EventPublisher, OutgoingEvent
from shared.ports.errors import PortError
from shared.telemetry.signals import Signal, emit
from shared.wire.alerts import ALERT, write_alert

log = logging.getLogger(__name__)


def raise_alert(publisher: EventPublisher, *, subject: str, code: str, message: str, now: datetime) -> None:
    """Publish an alert; the same one again on the same day has the same id."""
    emit(log, Signal.ALERT, f"alert {code} about {subject}: {message}", level=logging.ERROR, code=code, about=subject)
    identity = hashlib.sha256(f"{subject}\0{code}\0{message}\0{now:%Y-%m-%d}".encode()).hexdigest()[:32]
    data = write_alert(code=code, message=message, at=now)
    try:
        publisher.publish([OutgoingEvent(type=ALERT, subject=subject, data=data, id=f"alert-{identity}")])
    except PortError as error:
        log.warning("the alert could not be published: %s", error)
