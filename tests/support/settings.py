"""An environment with every setting the service needs, none of them leading anywhere."""

from __future__ import annotations

import json
import secrets


def complete_environment() -> dict[str, str]:
    """Settings that read without complaint; the keys are made anew at each call."""
    return {
        "Storage": "UseDevelopmentStorage=true",
        "ServiceBus": "Endpoint=sb://localhost;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;",
        "IotHub__hostName": "hub.example",
        "REPORTS_TOPIC_ENDPOINT": "http://127.0.0.1/topics/reports/api/events",
        "EVENTS_TOPIC_ENDPOINT": "http://127.0.0.1/topics/events/api/events",
        "KEYS_URI": "file:keys",
        "ROOT_FILE": "root.json",
        "TICKET_KEYS": json.dumps({"current": "one", "keys": {"one": secrets.token_hex(32)}}),
    }
