"""The OpenAPI 3.1 document, written from a table of routes and the models of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.wire.http_problems import PROBLEM, Problem

JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{\*?(\w+)\}")

type Model = type[BaseModel]
type Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something a caller gives beside the body.

    Attributes:
        place: Where: in the query, in a header, or in the path (always required there).
        schema: JSON Schema of its value.
    """

    name: str
    place: Literal["query", "header", "path"]
    meaning: str
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status that a route answers with.

    Attributes:
        body: A model, a JSON Schema, or None for no body.
        content_type: Media type of the body.
        headers: Header name to its meaning.
    """

    meaning: str
    body: Model | Schema | None = None
    content_type: str = JSON
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a caller may ask, and everything that can come back.

    Attributes:
        path: Below the route prefix, as in function_app.py.
        access: ``key`` for a function key or a person's token, as the service is set up; ``open`` for anybody,
            ``ticket`` for a device's ticket.
        parameters: Query parameters and headers, and any path parameter whose values are known.
        body: Model or JSON Schema of the request's body; None where none is read.
        body_type: Its media type.
        body_optional: Whether the body may be left out.
        answers: Status to what it means.
        refusals: Status to what it means, for those that carry a problem document; 503 is always among them.
    """

    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    refusals: Mapping[int, str]
    access: Literal["key", "open", "ticket"] = "key"
    parameters: tuple[Parameter, ...] = ()
    body: Model | Schema | None = None
    body_type: str = JSON
    body_optional: bool = False
    description: str = ""


RETRY_AFTER = {"Retry-After": "Seconds after which to ask again"}
UNKNOWN_QUERY = "There is no such query parameter"
UNAVAILABLE = "A service behind this one does not answer, or too many calls were made; nothing was lost"
_SECURITY: Mapping[str, Any] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": "A function key"},
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An Entra ID access token"},
    "ticket": {"type": "apiKey", "in": "header", "name": "Groundswell-Ticket", "description": "From a device's offer"},
}


_SCHEMES: Mapping[str, tuple[str, ...]] = {"open": (), "key": ("key", "token"), "ticket": ("ticket",)}


def write_document(routes: Mapping[str, Route], *, prefix: str, version: str) -> dict[str, Any]:
    """The document.

    Args:
        routes: Operation id to route.
        prefix: The route prefix, such as ``/api``.
        version: The version of the API.
    """
    references, definitions = _define(routes.values())
    paths: dict[str, dict[str, Any]] = {}
    for operation, route in routes.items():
        path = "/" + _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(operation, route, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Groundswell", "version": version, "summary": "Signed software-update campaigns"},
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": dict(_SECURITY)},
    }


type _References = Mapping[Any, dict[str, Any]]
"""Model and mode to a reference to its schema."""


def _define(routes: Iterable[Route]) -> tuple[_References, dict[str, Any]]:
    """References to the models' schemas, and the schemas."""
    used: dict[tuple[Model, JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for route in routes:
        if isinstance(route.body, type):
            used[route.body, "validation"] = None
        for answer in route.answers.values():
            if isinstance(answer.body, type):
                used[answer.body, "serialization"] = None
    references, schemas = models_json_schema(list(used), ref_template=_REFERENCE)
    return references, schemas["$defs"]


def _operation(operation: str, route: Route, references: _References) -> dict[str, Any]:
    document: dict[str, Any] = {
        "operationId": operation,
        "summary": route.summary,
        "parameters": [_parameter(parameter) for parameter in _parameters(route)],
        "security": [{scheme: []} for scheme in _SCHEMES[route.access]],
        "responses": {str(status): _answer(answer, references) for status, answer in _all_answers(route)},
    }
    if route.description:
        document["description"] = route.description
    if route.body is not None:
        schema = references[route.body, "validation"] if isinstance(route.body, type) else dict(route.body)
        content = {route.body_type: {"schema": schema}}
        document["requestBody"] = {"required": not route.body_optional, "content": content}
    return document


def _parameters(route: Route) -> Iterator[Parameter]:
    known = {parameter.name for parameter in route.parameters if parameter.place == "path"}
    for name in _PARAMETER.findall(route.path):
        if name not in known:
            yield Parameter(name=name, place="path", meaning=name, schema={"type": "string", "minLength": 1})
    yield from route.parameters


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "required": parameter.place == "path",
        "schema": dict(parameter.schema),
    }


def _all_answers(route: Route) -> list[tuple[int, Answer]]:
    """Status to answer, in the order of the statuses."""
    refusals = {400: UNKNOWN_QUERY, 503: UNAVAILABLE} | dict(route.refusals)
    if route.access == "key":
        refusals = {403: "Who asks has no role that allows it"} | refusals
    answers = {status: _refusal(status, meaning) for status, meaning in refusals.items()} | dict(route.answers)
    if route.access == "key":
        # Where function keys serve, the host itself answers this, without a body.
        answers[401] = Answer(
            meaning="No function key or token, or none that is believed",
            body=Problem,
            content_type=PROBLEM,
            headers={"WWW-Authenticate": "Where tokens serve: what is wrong with the one given"},
        )
    return sorted(answers.items(), key=lambda item: item[0])


def _refusal(status: int, meaning: str) -> Answer:
    headers = RETRY_AFTER if status == 503 else None
    return Answer(meaning=meaning, body=Problem, content_type=PROBLEM, headers=headers)


def _answer(answer: Answer, references: _References) -> dict[str, Any]:
    document: dict[str, Any] = {"description": answer.meaning}
    if answer.headers:
        document["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in answer.headers.items()
        }
    if answer.body is not None:
        schema = references[answer.body, "serialization"] if isinstance(answer.body, type) else dict(answer.body)
        document["content"] = {answer.content_type: {"schema": schema}}
    return document
