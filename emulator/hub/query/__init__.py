"""The part of the IoT Hub query language that selects devices.

``SELECT * | COUNT() [AS name] | path [AS name], … FROM devices [WHERE condition]``; everything else is refused with
400 and a sentence that says what. Reference: IoT Hub developer guide, "IoT Hub query language".
"""

from emulator.hub.query.parser import parse_query
from emulator.hub.query.syntax import Query

__all__ = ["Query", "parse_query"]
