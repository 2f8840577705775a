"""The API holds to its own OpenAPI document, whatever it is asked."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cli.local import LocalStack
from cli.token import get_token
from demo.devices import register
from shared.edge.api import ROUTES
from shared.edge.openapi import API_VERSION, PREFIX
from shared.wire.openapi import Route, write_document
from tests.support.scenario import functions_told
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import Scene

# Without keys of its own making: what a request without a key gets is a test of its own.
CONFIG = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False, "deterministic": True}})
DOCUMENT = write_document(ROUTES, prefix=PREFIX, version=API_VERSION)
# The tester finds no template for requests that hold these rules, and tries ten times less without one; see `put_into`.
for rule in ("TargetsRequest", "CampaignRequest"):
    del DOCUMENT["components"]["schemas"][rule]["oneOf"]
API = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
# Readers are asked the plain way: what is refused at the door is refused whatever is in it.
QUICK = schemathesis.openapi.from_dict(
    DOCUMENT,
    config=schemathesis.Config.from_dict(
        {
            "generation": {"with-security-parameters": False, "deterministic": True},
            "phases": {"coverage": {"enabled": False}, "stateful": {"enabled": False}},
        }
    ),
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
WITH_JSON = {name: route for name, route in ROUTES.items() if isinstance(route.body, type)}
# A ticket and a log take a device, an edit takes a campaign that is paused just then.
NEEDS_MORE = {
    "GET /downloads/{path}",
    "PUT /logs",
    "GET /campaigns/{id}/devices/{device}/log",
    "PATCH /campaigns/{id}/waves",
    "GET /operations/{id}",
}
VARIANTS = {"-one": "mk1", "-two": "mk2"}
ANYBODY = {"query": "SELECT * FROM devices"}
HOSTILE_BODIES = {
    "no JSON": b'{"name": ',
    "no object": b"[]",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "half a character": b'{"name": "\\ud800", "reason": "\\ud800", "package": {"name": "\\udfff", "version": "1"}}',
    "a number beyond all bounds": b'{"gate": {"soak_s": 1e999, "minimum_completed": 1' + b"0" * 5_000 + b"}}",
    "no number": b'{"gate": {"soak_s": NaN}}',
    "deeper than any parser": b'{"reason": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a field twice, then unknown": b'{"name": "a", "name": "b", "colour": "red", "reason": {"a": 1}}',
    "longer than any field": b'{"name": "' + b"a" * 3_000_000 + b'", "reason": "' + b"b" * 3_000_000 + b'"}',
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What exists, so that requests also get beyond 404."""

    campaign: str
    package: str
    devices: list[str]

    @property
    def names(self) -> Mapping[str, Mapping[str, str]]:
        """First part of a path to the parameters behind it that name something."""
        known = {
            "campaigns": {"id": self.campaign},
            "packages": {"name": self.package, "version": NEW_VERSION},
            "groups": {"name": self.package},
            "repository": {"name": "timestamp.json"},
        }
        return defaultdict(dict, known)

    def put_into(self, case: schemathesis.Case) -> bool:
        """Let the case name what exists where it names something allowed; whether that changed it."""
        changed = False
        if not _is_negative(case, ParameterLocation.PATH):
            known = self.names[case.path.split("/")[1]]
            named = {name: known[name] for name in case.path_parameters if name in known}
            case.path_parameters.update(named)
            changed = bool(named)
        is_campaign = isinstance(case.body, dict) and case.path == "/campaigns"
        if is_campaign and not _is_negative(case, ParameterLocation.BODY):
            case.body |= self._known_packages(several=bool(case.body.get("packages")))
            case.body["targets"] = {"devices": self.devices}
            if isinstance(case.body.get("waves"), list):
                case.body["waves"] = [wave for wave in case.body["waves"] if "rest" not in wave] + [{"rest": True}]
            changed = True
        if case.path.startswith("/groups") and not _is_negative(case, ParameterLocation.BODY):
            case.body = case.body and ANYBODY
        return changed

    def _known_packages(self, *, several: bool) -> dict[str, Any]:
        if not several:
            return {"package": {"name": self.package, "version": NEW_VERSION}, "packages": None}
        packages = [{"name": f"{self.package}{variant}", "version": NEW_VERSION} for variant in VARIANTS]
        return {"package": None, "packages": packages}


def checks(case: schemathesis.Case) -> list[Any]:
    """All checks; blanks around texts are taken off before their length is looked at, which no schema can say."""
    texts = case.body.values() if isinstance(case.body, dict) else []
    blank = any(isinstance(text, str) and text != text.strip() for text in texts)
    return CHECKS if blank else [*CHECKS, negative_data_rejection]


def _is_negative(case: schemathesis.Case, location: ParameterLocation) -> bool:
    return case.meta is not None and case.meta.is_negative_at(location)


@pytest.fixture(scope="module")
def known(stack: LocalStack) -> Iterator[Known]:
    scene = Scene(stack, "api")
    try:
        scene.artifacts.publish()
        for variant, hardware in VARIANTS.items():
            replace(scene.artifacts, name=f"{scene.name}{variant}").publish(hardware=[hardware])
        # Nobody connects them: the campaign goes on until somebody ends it.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("REQUESTS_CA_BUNDLE", stack.settings["REQUESTS_CA_BUNDLE"])
            register(stack.settings["IotHub"], scene.devices(2))
        campaign = scene.start(scene.devices(2))
        scene.http.put(f"{stack.api}/groups/{scene.name}", json=ANYBODY, timeout=10).raise_for_status()
        yield Known(campaign=campaign, package=scene.name, devices=scene.devices(3))
        if "delete_stop" in ROUTES:
            scene.http.delete(f"{stack.api}/stop", timeout=10).raise_for_status()
    finally:
        scene.close()


@pytest.fixture(scope="module")
def answered() -> Counter[tuple[str, int]]:
    """Operation and status to how often that was the answer."""
    return Counter()


@pytest.fixture(scope="module")
def told_reader() -> Counter[tuple[str, int]]:
    """The same of what a reader asked."""
    return Counter()


def key(stack: LocalStack) -> dict[str, str]:
    return {"x-functions-key": stack.cloud.host_key}


def path_of(route: Route, **given: str) -> str:
    return re.sub(r"\{\*?(\w+)\}", lambda found: given.get(found[1], "none"), route.path)


@API.parametrize()
@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(
    case: schemathesis.Case, stack: LocalStack, known: Known, answered: Counter[tuple[str, int]]
) -> None:
    def ask() -> None:
        answer = case.call_and_validate(base_url=stack.api, headers=key(stack), checks=checks(case), timeout=30)
        answered[case.operation.label, answer.status_code] += 1

    ask()
    if known.put_into(case):
        ask()


def test_the_requests_got_past_the_first_refusal(answered: Counter[tuple[str, int]]) -> None:
    """The test before this one proves nothing about an operation that refused all it was asked."""
    asked = {label for label, _ in answered} - NEEDS_MORE

    assert asked == {label for label, status in answered if status < 300}
    assert answered["POST /campaigns", 201] >= 10
    assert answered["POST /campaigns", 400] >= 100


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=list(HOSTILE_BODIES))
@pytest.mark.parametrize(("name", "route"), WITH_JSON.items(), ids=list(WITH_JSON))
def test_hostile_bodies_are_refused_with_the_field(
    name: str, route: Route, body: bytes, stack: LocalStack, known: Known
) -> None:
    url = f"{stack.api}/{path_of(route, action='pause', **known.names[route.path.split('/')[0]])}"
    answer = requests.request(route.method, url, data=body, headers=key(stack), timeout=30)

    assert answer.status_code == 400, answer.text[:500]
    assert answer.json()["code"] in {"invalid_request"}
    assert len(answer.content) < 5_000


@pytest.mark.parametrize(("name", "route"), ROUTES.items(), ids=list(ROUTES))
def test_without_a_key_only_what_the_document_calls_open_is_answered(
    name: str, route: Route, stack: LocalStack
) -> None:
    url = f"{stack.api}/{path_of(route, action='pause')}"
    answer = requests.request(route.method, url, timeout=30)

    assert (answer.status_code == 401) == (route.access != "open"), answer.text


@pytest.fixture(scope="module")
def reader(stack: LocalStack, known: Known) -> Iterator[dict[str, str]]:
    """Who may look and no more, where tokens are asked for; what is known was made before."""
    with functions_told(stack, {"AUTH_MODE": "entra"}):
        yield {"Authorization": f"Bearer {get_token(stack.settings, name='rita', roles=['reader'])}"}


@QUICK.parametrize()
@settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_reader_is_one_that_the_document_names(
    case: schemathesis.Case,
    stack: LocalStack,
    known: Known,
    reader: dict[str, str],
    told_reader: Counter[tuple[str, int]],
) -> None:
    known.put_into(case)
    answer = case.call_and_validate(base_url=stack.api, headers=reader, checks=checks(case), timeout=30)
    told_reader[case.operation.label, answer.status_code] += 1


def test_a_reader_was_shown_all_and_let_do_nothing(told_reader: Counter[tuple[str, int]]) -> None:
    """The test before this one proves nothing where it met no refusal."""
    own_doors = {"PUT /logs", "GET /downloads/{path}"}
    changes = {label for label, _ in told_reader if not label.startswith("GET ")} - own_doors

    assert changes == {label for label, status in told_reader if label in changes and status == 403}
    assert not [status for label, status in told_reader if label in changes and status < 400]
    assert told_reader["GET /campaigns/{id}", 200]
    assert told_reader["GET /campaigns", 200]


@pytest.mark.parametrize(("name", "route"), ROUTES.items(), ids=list(ROUTES))
@pytest.mark.parametrize("token", ["", "Bearer none", "Bearer a.b.c", "Basic cm9vdDpyb290"])
def test_without_a_good_token_the_answer_is_the_401_that_the_document_names(
    name: str, route: Route, token: str, stack: LocalStack, reader: dict[str, str]
) -> None:
    url = f"{stack.api}/{path_of(route, action='pause')}"
    answer = requests.request(route.method, url, headers={"Authorization": token} if token else {}, timeout=30)

    assert (answer.status_code == 401) == (route.access != "open"), answer.text
    path = re.sub(r"\{\*", "{", f"/{route.path}")
    named = DOCUMENT["paths"][path][route.method.lower()]["responses"]
    assert str(answer.status_code) in named
    if answer.status_code == 401:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 401
