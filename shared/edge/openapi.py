"""HTTP: what the API is."""

from __future__ import annotations

import json
from functools import cache

import azure.functions as func

from shared.edge.answers import json_response
from shared.edge.api import ROUTES
from shared.wire.openapi import write_document

API_VERSION = "1"
"""Of the API, not of the program: it changes when callers must."""

PREFIX = "/api"


def show() -> func.HttpResponse:
    """200 with the OpenAPI 3.1 document."""
    return json_response(_document())


@cache
def _document() -> str:
    return json.dumps(write_document(ROUTES, prefix=PREFIX, version=API_VERSION))
