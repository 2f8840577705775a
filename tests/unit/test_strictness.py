"""What no route reads is refused before anything happens."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

import function_app
from shared.edge.api import ROUTES
from tests.support.functions import FUNCTIONS


class Reached(Exception):
    """The service was asked."""


def ask(name: str, params: dict[str, str], body: bytes = b"") -> func.HttpResponse:
    request = func.HttpRequest(
        method=ROUTES[name].method, url="http://localhost/api", params=params, route_params={"id": "c1"}, body=body
    )
    answer: func.HttpResponse = FUNCTIONS[name].get_user_function()(request)
    return answer


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached() -> None:
        raise Reached

    monkeypatch.setattr(function_app, "service", reached)


def detail_of(answer: func.HttpResponse) -> str:
    document = json.loads(answer.get_body())
    assert (answer.status_code, document["code"], answer.mimetype) == (
        400,
        "invalid_request",
        "application/problem+json",
    )
    return str(document["detail"])


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_refuses_a_query_parameter_it_does_not_know(name: str) -> None:
    detail = detail_of(ask(name, {"dryrun": "true"}))

    assert detail.startswith("dryrun: there is no such query parameter")
    assert all(each.name in detail for each in ROUTES[name].parameters if each.place == "query")


def test_a_mistyped_dry_run_is_told_of_the_right_one() -> None:
    assert detail_of(ask("post_campaign", {"Dry_Run": "true", "dry_run": "true"})) == (
        "Dry_Run: there is no such query parameter; there are dry_run"
    )


@pytest.mark.parametrize("known", [{"dry_run": "true"}, {"code": "a-key", "clientId": "default"}])
def test_what_the_route_or_the_host_reads_is_let_through(known: dict[str, str]) -> None:
    with pytest.raises(Reached):
        ask("post_campaign", known, b"{}")


@pytest.mark.parametrize(
    "body", [b'{"name": "a", "name": "b"}', b'{"gate": {"x": 1, "name": 2, "name": 3}}', b'[{"name": 1, "name": 1}]']
)
def test_a_key_that_comes_twice_is_refused(body: bytes) -> None:
    assert detail_of(ask("post_campaign", {}, body)) == "name: the body has this key 2 times in one object"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'[{"a": 1}, {"a": 2}]', b"[" * 100_000])
def test_other_bodies_are_left_to_who_reads_them(body: bytes) -> None:
    with pytest.raises(Reached):
        ask("post_campaign", {}, body)
