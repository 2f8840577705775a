"""Every route, asked by everybody: who has no role for it never gets past the door."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import azure.functions as func
import pytest

import function_app
from shared.domain.people import Person, name_of, subject_of
from shared.domain.roles import ALLOWED, KEY_HOLDER, Caller, Operation, Role, check_allowed
from shared.domain.steps_by_operators import OperatorAction
from shared.edge.api import ROUTES
from shared.trust.tokens import TokenRefused
from tests.support.functions import FUNCTIONS

O = Operation  # noqa: E741
EXPECTED = {
    Role.READER: {O.READ},
    Role.OPERATOR: {O.READ, O.OPERATE},
    Role.APPROVER: {O.READ, O.APPROVE},
    Role.ADMIN: {O.READ, O.OPERATE, O.APPROVE},
}
GUARDED = sorted(name for name, route in ROUTES.items() if route.access == "key")
REQUESTS = [
    (name, action) for name in GUARDED for action in (list(OperatorAction) if name == "post_campaign_action" else [""])
]


class Reached(Exception):
    """The caller was let in."""


class Doorkeeper:
    """A service that knows the caller, and tells when anything else of it is used."""

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller

    def identify(self, _authorization: str) -> Caller:
        if self._caller is None:
            raise TokenRefused("no token", code="token_missing")
        return self._caller

    def __getattr__(self, name: str) -> Any:
        raise Reached(name)


def somebody(*roles: Role) -> Caller:
    return Caller(person=Person(subject="0000-ada", name="Ada"), roles=frozenset(roles))


def ask(name: str, action: str, caller: Caller | None, monkeypatch: pytest.MonkeyPatch) -> func.HttpResponse | None:
    """The answer of the route; None where the caller was let in."""
    monkeypatch.setattr(function_app, "service", lambda: Doorkeeper(caller))
    request = func.HttpRequest(
        method=ROUTES[name].method,
        url=f"http://localhost/api/{name}",
        headers={"Content-Type": "application/json"},
        params={},
        route_params={"id": "c1", "name": "thing", "version": "1", "device": "d1", "action": action},
        body=b"{}",
    )
    try:
        answer: func.HttpResponse = FUNCTIONS[name].get_user_function()(request)
    except Reached:
        return None
    return answer


def needed(name: str, action: str) -> Operation:
    if ROUTES[name].method == "GET":
        return O.READ
    return O.APPROVE if action == OperatorAction.APPROVE else O.OPERATE


@pytest.mark.parametrize(("asked", "role"), list(product(REQUESTS, [*Role, None])), ids=str)
def test_a_route_lets_in_exactly_the_roles_that_may_do_it(
    asked: tuple[str, str], role: Role | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ask(*asked, somebody(*([role] if role else [])), monkeypatch)

    if role is not None and needed(*asked) in EXPECTED[role]:
        assert answer is None or answer.status_code not in (401, 403)
        return
    assert answer is not None
    assert answer.status_code == 403
    problem = json.loads(answer.get_body())
    assert problem["code"] == "role_missing"
    assert all(each in problem["detail"] for each in Role if needed(*asked) in EXPECTED[each])


@pytest.mark.parametrize("asked", REQUESTS, ids=str)
def test_a_route_lets_nobody_in_without_a_token(asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(*asked, None, monkeypatch)

    assert answer is not None
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("asked", REQUESTS, ids=str)
def test_a_function_key_does_all_but_approve(asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(*asked, KEY_HOLDER, monkeypatch)

    is_refused = answer is not None and answer.status_code in (401, 403)
    assert is_refused == (needed(*asked) is O.APPROVE)


def test_the_table_says_what_the_documents_say() -> None:
    assert {role: set(operations) for role, operations in ALLOWED.items()} == EXPECTED


def test_roles_add_up() -> None:
    both = somebody(Role.READER, Role.APPROVER, Role.OPERATOR)
    for operation in O:
        check_allowed(both, operation)


def test_a_label_tells_name_and_subject_apart() -> None:
    label = Person(subject="0000-ada", name="Ada <admin> Lovelace").label
    assert label == "Ada admin Lovelace <0000-ada>"
    assert (name_of(label), subject_of(label)) == ("Ada admin Lovelace", "0000-ada")
    assert (name_of("gate"), subject_of("gate")) == ("gate", "gate")
