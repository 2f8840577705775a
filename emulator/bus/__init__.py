"""A Service Bus namespace in memory that the real `azure-servicebus` SDK talks to over AMQP 1.0.

Queues only. Declared, never created on the fly. Nothing survives the process.
"""

from emulator.bus.config import ConfigError, NamespaceConfig, QueueConfig
from emulator.bus.server import BusServer

__all__ = ["BusServer", "ConfigError", "NamespaceConfig", "QueueConfig"]
