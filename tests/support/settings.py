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
        "EventHub": "Endpoint=sb://localhost;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;",
        "TWIN_CHANGES_HUB": "twin-changes",
        "REPORTS_TOPIC_ENDPOINT": "https://reports.example/api/events",
        "EVENTS_TOPIC_ENDPOINT": "https://events.example/api/events",
        "KEYS_URI": "file:keys",
        "ROOT_FILE": "root.json",
        "TICKET_KEYS": json.dumps({"current": "one", "keys": {"one": secrets.token_hex(32)}}),
    }
