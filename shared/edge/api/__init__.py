"""What the HTTP API is, route by route: the OpenAPI document is made of it, and a test holds function_app.py to it.

A new HTTP trigger needs one entry, under the name of its function, in the module of its subject (or a new one here).
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.edge.api.audit import AUDIT
from shared.edge.api.campaigns import CAMPAIGNS
from shared.edge.api.groups import GROUPS
from shared.edge.api.logs import LOGS
from shared.edge.api.packages import PACKAGES
from shared.edge.api.service import SERVICE
from shared.wire.openapi import Route

ROUTES: Mapping[str, Route] = {**AUDIT, **CAMPAIGNS, **GROUPS, **LOGS, **PACKAGES, **SERVICE}
