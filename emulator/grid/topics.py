"""Topic endpoints: `POST /topics/{topic}/api/events`, for the real publisher client over plain HTTP."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from aiohttp import web

from emulator.grid.events import LARGEST_PUBLISH_BYTES, EventRefusedError, GridEvent, read_publish
from emulator.grid.subscriptions import Deliveries

_SAS_TIME = "%m/%d/%Y %I:%M:%S %p"


class Topics:
    """Takes events for custom topics.

    Args:
        keys: access key of each topic, base64.
        deliveries: what takes the events on.
    """

    def __init__(self, keys: Mapping[str, str], deliveries: Deliveries) -> None:
        self._keys = keys
        self._deliveries = deliveries
        self.published = dict.fromkeys(keys, 0)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/topics/{topic}/api/events", self._publish)

    def publish(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Publish from inside the cloud, as a system topic's source does."""
        self._take(topic, [GridEvent(fields=fields, published_at=datetime.now(UTC))])

    async def _publish(self, request: web.Request) -> web.Response:
        """200 when all events are taken; the publisher client accepts no other status."""
        topic = request.match_info["topic"]
        key = self._keys.get(topic)
        if key is None:
            return _refusal(404, "NotFound", f"no topic {topic}")
        if not _is_authorised(request, key):
            return _refusal(401, "Unauthorized", "the request authorization key is not valid for this topic")
        try:
            events = await self._read(request, topic)
        except EventRefusedError as error:
            return _refusal(error.status, "PayloadTooLarge" if error.status == 413 else "BadRequest", str(error))
        self._take(topic, events)
        return web.Response(status=200)

    async def _read(self, request: web.Request, topic: str) -> list[GridEvent]:
        body = await request.content.read(LARGEST_PUBLISH_BYTES + 1)
        while len(body) <= LARGEST_PUBLISH_BYTES and (more := await request.content.readany()):
            body += more
        path = f"/subscriptions/local/providers/Microsoft.EventGrid/topics/{topic}"
        return read_publish(body, request.content_type, topic=path, now=datetime.now(UTC))

    def _take(self, topic: str, events: list[GridEvent]) -> None:
        self.published[topic] += len(events)
        for event in events:
            self._deliveries.accept(topic, event)


def _is_authorised(request: web.Request, key: str) -> bool:
    if given := request.headers.get("aeg-sas-key"):
        return hmac.compare_digest(given, key)
    if token := request.headers.get("aeg-sas-token"):
        return is_valid_token(token, key, now=datetime.now(UTC))
    return False


def is_valid_token(token: str, key: str, *, now: datetime) -> bool:
    """Whether a SAS token `r=…&e=…&s=…` was signed with `key` (base64) and has not expired."""
    signed, _, signature = token.rpartition("&s=")
    fields = parse_qs(signed)
    if not signature or "e" not in fields:
        return False
    wanted = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
    given = unquote_plus(signature)
    if not hmac.compare_digest(given.encode(), base64.b64encode(wanted)):
        return False
    return _read_expiry(fields["e"][0]) > now


def _read_expiry(text: str) -> datetime:
    for form in (_SAS_TIME, "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f"):
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - given UTC below
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
