"""docs/agent.md says what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from agent.codes import MEANINGS
from agent.config import AgentConfig
from agent.fleet.behaviour import BehaviourKind
from agent.memory import Phase

PAGE = (Path(__file__).parents[2] / "docs/agent.md").read_text()


def fields_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, field in model.model_fields.items():
        kind = next((one for one in get_args(field.annotation) if one is not type(None)), field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += fields_of(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def test_every_field_of_the_configuration_is_described() -> None:
    assert [name for name in fields_of(AgentConfig) if f"`{name}`" not in PAGE] == []


def test_every_code_stands_in_the_table_with_its_state_and_meaning() -> None:
    rows = [f"| `{code}` | `{state}` | {meaning} |" for code, (state, meaning) in MEANINGS.items()]

    assert [row for row in rows if row not in PAGE] == []


def test_phases_and_behaviours_are_described() -> None:
    assert [word for word in (*Phase, *BehaviourKind) if f"`{word}" not in PAGE] == []
