"""What the REST handlers share: reading requests, writing JSON."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from emulator.hub.device_api import read_json
from emulator.hub.documents import Json
from emulator.hub.errors import invalid
from emulator.hub.policies import Permission
from emulator.hub.registry import ANY_ETAG

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation, and the permission that it takes."""

    method: str
    path: str
    permission: Permission
    handler: Handler


def device_id_of(request: web.Request) -> str:
    """The device id in the path, decoded."""
    return request.match_info["id"]


def if_match_of(request: web.Request) -> str:
    """The ``If-Match`` header; ``*`` where there is none."""
    return request.headers.get("If-Match") or ANY_ETAG


async def read_body(request: web.Request) -> object:
    """The JSON body.

    Raises:
        HubError: 400004.
    """
    return read_json(await request.read())


async def read_object(request: web.Request) -> Json:
    """The JSON object in the body.

    Raises:
        HubError: 400004.
    """
    document = await read_body(request)
    if not isinstance(document, dict):
        raise invalid("the body must be a JSON object")
    return document


def answer_json(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(document, separators=(",", ":")).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def answer_with_etag(document: Json) -> web.Response:
    """A document that carries its own etag."""
    return answer_json(document, headers={"ETag": f'"{document["etag"]}"'})
