"""Parameters and refusals that many routes share."""

from __future__ import annotations

from shared.edge.campaigns import MAX_PAGE
from shared.wire.openapi import Parameter

SIZE = Parameter(
    name="size",
    place="query",
    meaning="How many at most",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
)
CONTINUATION = Parameter(
    name="continuation",
    place="query",
    meaning="Where to go on: `continuation` of the page before",
    schema={"type": "string", "default": ""},
)
PAGE = (SIZE, CONTINUATION)
IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    meaning="The same request under the same key is done once, however often it is sent",
    schema={"type": "string", "minLength": 1, "maxLength": 255},
)

BAD_PAGE = {400: "`size` or `continuation` cannot be used"}
BAD_REQUEST = {400: "Fields are missing, unknown or wrong; `detail` names each of them"}
NO_CAMPAIGN = {404: "There is no such campaign"}
NO_PACKAGE = {404: "There is no such package"}
