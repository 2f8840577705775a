"""Reading the addresses clients attach to."""

from dataclasses import dataclass
from enum import StrEnum

from emulator.bus import cbs, management
from emulator.bus.amqp.types import Described, Value
from emulator.bus.errors import BusError, Condition


class NodeKind(StrEnum):
    """What lies at an address."""

    TOKENS = "tokens"
    MANAGEMENT = "management"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Address:
    """A node. `path` is the queue's, also for its management node; empty for the token node."""

    kind: NodeKind
    path: str


def read_address(terminus: Value) -> Address:
    """Reads the address of a source or target: a path, with or without `amqps://host/` before it.

    Raises:
        BusError: `amqp:not-implemented` for a transaction coordinator; `amqp:not-found` without an address.
    """
    if not isinstance(terminus, Described) or terminus.descriptor not in (0x28, 0x29):
        raise BusError(Condition.NOT_IMPLEMENTED, "Only sources and targets are supported, no transactions.")
    address = terminus.value[0] if terminus.value else None
    if not isinstance(address, str):
        raise BusError(Condition.NOT_FOUND, "The link names no entity.")
    path = address.partition("://")[2].partition("/")[2] if "://" in address else address
    path = path.strip("/")
    if path.lower() == cbs.NODE:
        return Address(NodeKind.TOKENS, "")
    if path.lower().endswith(management.SUFFIX):
        return Address(NodeKind.MANAGEMENT, path[: -len(management.SUFFIX)])
    return Address(NodeKind.MESSAGES, path)
