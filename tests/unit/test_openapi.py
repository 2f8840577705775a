"""The OpenAPI document describes exactly the routes that function_app.py has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from shared.edge import openapi
from shared.edge.api import ROUTES
from shared.wire.openapi import Route
from tests.support.functions import read_triggers

PROJECT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads(openapi.show().get_body())


@pytest.fixture(scope="module")
def triggers() -> dict[str, dict[str, Any]]:
    """Name of an HTTP function to the fields of its trigger."""
    return {name: fields for name, fields in read_triggers().items() if fields["type"] == "httpTrigger"}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_every_http_function_is_described_and_nothing_else(triggers: dict[str, dict[str, Any]]) -> None:
    assert sorted(ROUTES) == sorted(triggers), "describe it in shared/edge/api"


@pytest.mark.parametrize(("name", "route"), ROUTES.items(), ids=list(ROUTES))
def test_a_description_has_the_method_path_and_access_of_its_function(
    name: str, route: Route, triggers: dict[str, dict[str, Any]]
) -> None:
    trigger = triggers[name]

    assert [method.value for method in trigger["methods"]] == [route.method]
    assert trigger["route"] == route.path
    assert (trigger["authLevel"].name == "FUNCTION") == (route.access == "key")


def test_the_prefix_is_the_hosts() -> None:
    host = json.loads((PROJECT / "host.json").read_text())

    assert DOCUMENT["servers"] == [{"url": f"/{host['extensions']['http']['routePrefix']}"}]


def test_it_is_an_openapi_document() -> None:
    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    used = {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}

    assert used <= DOCUMENT["components"]["schemas"].keys()
    assert {"CampaignRequest", "CampaignView", "Problem"} <= used


def test_every_refusal_carries_a_problem_and_every_503_says_when_to_ask_again() -> None:
    for path, operation in operations():
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/health" and "content" in answer:
                assert list(answer["content"]) == ["application/problem+json"], (path, status)
            if status == "503" and path != "/health":
                assert "Retry-After" in answer["headers"], path


def test_every_path_parameter_is_described_once() -> None:
    for path, operation in operations():
        given = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert sorted(given) == sorted(part.strip("{}") for part in path.split("/") if part.startswith("{")), path
