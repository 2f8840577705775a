"""The memory as a JSON document and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import fields as fields_of
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
        return Memory(**{**_known(Memory, fields), "pending": _pending(fields["pending"]), "end": _end(fields["end"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MemoryUnreadable(f"the journal cannot be read ({error!r}); move it away to start anew") from error


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a later agent of the same format added, so that going back to this one is possible."""
    names = {field.name for field in fields_of(kind)}
    return {name: value for name, value in document.items() if name in names}


def _pending(fields: Mapping[str, Any] | None) -> Pending | None:
    if fields is None:
        return None
    return Pending(
        **{
            **_known(Pending, fields),
            "offer": OfferId(**_known(OfferId, fields["offer"])),
            "phase": Phase(fields["phase"]),
            "windows": tuple(fields.get("windows", ())),
        }
    )


def _end(fields: Mapping[str, Any] | None) -> End | None:
    if fields is None:
        return None
    return End(
        **{
            **_known(End, fields),
            "offer": OfferId(**_known(OfferId, fields["offer"])),
            "state": RolloutState(fields["state"]),
        }
    )
