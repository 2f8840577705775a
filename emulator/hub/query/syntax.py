"""What a query means, as a tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Path:
    """A property of the twin, such as ``tags.site`` or ``properties.reported.update.state``."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, boolean or null."""

    value: str | float | bool | None


class Comparator(StrEnum):
    """Comparison operators; ``<>`` is read as ``!=``."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands compared."""

    left: "Operand"
    comparator: Comparator
    right: "Operand"


@dataclass(frozen=True, slots=True)
class Membership:
    """``operand IN [ … ]``, or ``NIN`` where negated."""

    operand: "Operand"
    constants: tuple[Constant, ...]
    negated: bool


class Function(StrEnum):
    """The functions of conditions, in lower case."""

    IS_DEFINED = "is_defined"
    STARTS_WITH = "startswith"
    ENDS_WITH = "endswith"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one path, or of a path and a string."""

    function: Function
    arguments: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A negation."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    """``AND``."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Either:
    """``OR``."""

    left: "Condition"
    right: "Condition"


type Operand = Path | Constant
type Condition = Comparison | Membership | Call | Not | Both | Either | Path | Constant


@dataclass(frozen=True, slots=True)
class Projection:
    """One selected path and the key under which it is shown."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A whole query.

    Attributes:
        projections: None for ``SELECT *``.
        count_as: the key of ``COUNT()``; None where devices are wanted.
        condition: None selects all.
    """

    projections: Sequence[Projection] | None = None
    count_as: str | None = None
    condition: Condition | None = None


type Row = dict[str, Any]
