"""YAML with the line of every field. Words mean what YAML 1.2 says: ``22:00`` and ``no`` are text, not numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from shared.domain.errors import DomainError

type Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_WORDS: Mapping[str, str] = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"-?(?:0|[1-9][0-9]*)",
    "float": r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)",
}
"""The core schema of YAML 1.2, without octal and hexadecimal numbers."""


class YamlInvalid(DomainError):
    """The text cannot be read; the message begins with the line."""

    code = "yaml_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lined:
    """What a text says, and where.

    Attributes:
        lines: Path of a field to its line, from 1.
    """

    value: Any
    lines: Mapping[Path, int]

    def line_of(self, path: Sequence[str | int]) -> int:
        """The line of a field, or of the nearest one around it that is there."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(tuple(path[:length]))) is not None:
                return line
        return 1


class _Loader(yaml.SafeLoader):
    """Without the implicit types of YAML 1.1, and with those of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML looks it up on the class


for _name, _words in _WORDS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_words})$"), None)


def read_yaml(text: str) -> Lined:
    """The one document in a text.

    Raises:
        YamlInvalid: It is no YAML, or uses what JSON cannot say.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlInvalid(f"{line}: {error.problem or 'this is no YAML'}") from error
    except yaml.YAMLError as error:
        raise YamlInvalid(f"1: {error}") from error
    lines: dict[Path, int] = {}
    return Lined(value=None if node is None else _read(node, (), lines, ()), lines=lines)


def _read(node: yaml.Node, path: Path, lines: dict[Path, int], around: tuple[int, ...]) -> Any:
    lines.setdefault(path, _line(node))
    if id(node) in around:
        raise YamlInvalid(f"{_line(node)}: an alias must not hold itself")
    inside = (*around, id(node))
    if isinstance(node, yaml.MappingNode):
        return {key: _read(member, (*path, key), lines, inside) for key, member in _members(node, path, lines)}
    if isinstance(node, yaml.SequenceNode):
        return [_read(member, (*path, at), lines, inside) for at, member in enumerate(node.value)]
    return _scalar(node)


def _members(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> Iterator[tuple[str, yaml.Node]]:
    seen: set[str] = set()
    for key, member in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlInvalid(f"{_line(key)}: a field's name must be a word")
        if key.value in seen:
            raise YamlInvalid(f"{_line(key)}: {key.value} is there twice")
        seen.add(key.value)
        lines[*path, key.value] = _line(key)
        yield key.value, member


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    match kind := node.tag.removeprefix(_TAG):
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float":
            return _number(node, text, kind)
        case _:
            raise YamlInvalid(f"{_line(node)}: {node.tag} is not known here")


def _number(node: yaml.Node, text: str, kind: str) -> int | float:
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError as error:
        raise YamlInvalid(f"{_line(node)}: {text[:40]!r} is no number") from error


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
