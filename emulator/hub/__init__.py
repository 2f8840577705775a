"""An Azure IoT Hub for one machine: the real service SDK (REST) and the real device SDK (MQTT) talk to it."""

from emulator.hub.config import BulkTwins, HubConfig, Throttles, Tier
from emulator.hub.core import HubStatistics
from emulator.hub.errors import Code, HubError
from emulator.hub.events import EventKind, HubEvent, OpType
from emulator.hub.server import HubServer

__all__ = [
    "BulkTwins",
    "Code",
    "EventKind",
    "HubConfig",
    "HubError",
    "HubEvent",
    "HubServer",
    "HubStatistics",
    "OpType",
    "Throttles",
    "Tier",
]
