"""The memory as a JSON document and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.memory import End, Memory, OfferId, Pending, Phase
from shared.domain.errors import DomainError
from shared.domain.rollouts import RolloutState

FORMAT = 1


class MemoryUnreadable(DomainError):
    """The journal on disk is not one this agent wrote."""

    code = "memory_unreadable"


def write_memory(memory: Memory) -> bytes:
    """The memory as UTF-8 JSON."""
    return json.dumps({"format": FORMAT, **asdict(memory)}, indent=1, sort_keys=True).encode() + b"\n"


def read_memory(document: bytes) -> Memory:
    """The memory in a document.

    Raises:
        MemoryUnreadable: It is no journal, or of another format.
    """
    try:
        fields = json.loads(document)
        if fields.pop("format") != FORMAT:
            raise ValueError("unknown format")
        return Memory(**{**fields, "pending": _pending(fields["pending"]), "end": _end(fields["end"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MemoryUnreadable(f"the journal cannot be read ({error!r}); move it away to start anew") from error


def _pending(fields: Mapping[str, Any] | None) -> Pending | None:
    if fields is None:
        return None
    return Pending(**{**fields, "offer": OfferId(**fields["offer"]), "phase": Phase(fields["phase"])})


def _end(fields: Mapping[str, Any] | None) -> End | None:
    if fields is None:
        return None
    return End(**{**fields, "offer": OfferId(**fields["offer"]), "state": RolloutState(fields["state"])})
