"""Which handler installs which kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.ports import Handler
from shared.domain.packages import PackageKind

type Handlers = Mapping[PackageKind, Handler]


def register(handlers: Iterable[Handler]) -> Handlers:
    """The handlers by kind.

    Raises:
        ValueError: Two claim the same kind.
    """
    registry: dict[PackageKind, Handler] = {}
    for handler in handlers:
        if handler.kind in registry:
            raise ValueError(f"two handlers for {handler.kind}")
        registry[handler.kind] = handler
    return registry


def ready_kinds(handlers: Handlers) -> frozenset[str]:
    """The kinds this device can install now."""
    return frozenset(kind.value for kind, handler in handlers.items() if handler.is_ready())
