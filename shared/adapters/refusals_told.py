"""Refusals for want of room, told as signals where the vendor's answer becomes a word of the ports."""

from __future__ import annotations

import logging

from shared.ports.errors import QuotaExceeded, Throttled
from shared.telemetry.signals import Signal, emit

log = logging.getLogger(__name__)


def throttled(service: str, message: str, *, retry_after_s: float | None = None) -> Throttled:
    """The error for a service that asks for fewer calls."""
    emit(log, Signal.THROTTLED, message, level=logging.WARNING, service=service, calls=1)
    return Throttled(message, retry_after_s=retry_after_s)


def quota_used_up() -> QuotaExceeded:
    """The error for a hub that takes nothing more today."""
    message = "the IoT Hub's daily message quota is used up"
    emit(log, Signal.QUOTA_USED_UP, message, level=logging.ERROR)
    return QuotaExceeded(message)
