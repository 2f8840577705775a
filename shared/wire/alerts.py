"""CloudEvents that people should be woken for. They name no device, and hold no secret."""

from __future__ import annotations

import json
from datetime import datetime

ALERT = "groundswell.alert"


def write_alert(*, code: str, message: str, at: datetime) -> bytes:
    """The ``data`` of an alert: ``code`` is a stable word for programs, ``message`` says what to do."""
    return json.dumps({"code": code, "message": message, "at": at.isoformat()}, separators=(",", ":")).encode()
