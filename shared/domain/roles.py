"""Roles, and what each may do. The table decides; routes only name the operation they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import Forbidden
from shared.domain.people import Person


class Role(StrEnum):
    """The values are the words of Entra's app roles."""

    READER = "reader"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Operation(StrEnum):
    """What a request is for."""

    READ = "read"
    OPERATE = "operate"
    APPROVE = "approve"


ALLOWED: Mapping[Role, frozenset[Operation]] = {
    Role.READER: frozenset({Operation.READ}),
    Role.OPERATOR: frozenset({Operation.READ, Operation.OPERATE}),
    Role.APPROVER: frozenset({Operation.READ, Operation.APPROVE}),
    Role.ADMIN: frozenset(Operation),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and with which roles.

    Attributes:
        is_human: Whether somebody signed in; programs and keys are nobody, and never approve.
    """

    person: Person
    roles: frozenset[Role]
    is_human: bool = True

    @property
    def label(self) -> str:
        """How rows and logs name them."""
        return self.person.label


KEY_HOLDER = Caller(
    person=Person(subject="function-key", name="holder of a function key"),
    roles=frozenset({Role.OPERATOR}),
    is_human=False,
)
"""A function key says what may be done, not who does it."""


def check_allowed(caller: Caller, operation: Operation) -> None:
    """Return if the caller may do it.

    Raises:
        Forbidden: No role of theirs allows it (code ``role_missing``), or it takes a human (``human_required``).
    """
    enough = [role for role, operations in ALLOWED.items() if operation in operations]
    if not caller.roles & set(enough):
        has = ", ".join(sorted(caller.roles)) or "none"
        raise Forbidden(f"this needs the role {' or '.join(enough)}; you have {has}", code="role_missing")
    if operation is Operation.APPROVE and not caller.is_human:
        raise Forbidden("only people who signed in can approve, not programs", code="human_required")
