"""Audit logs."""

from __future__ import annotations

from collections.abc import Mapping

from shared.edge.api.parts import BAD_PAGE, PAGE
from shared.wire.http_audit import AuditPage
from shared.wire.openapi import Answer, Route

AUDIT: Mapping[str, Route] = {
    "get_campaign_audit": Route(
        method="GET",
        path="campaigns/{id}/audit",
        summary="Show what was asked of a campaign and decided about it",
        description="Stops of the whole fleet are under the id `fleet`. `groundswell audit verify` checks a log.",
        parameters=PAGE,
        answers={200: Answer(meaning="One page, in the order of the records", body=AuditPage)},
        refusals={**BAD_PAGE, 404: "There is no log of such a campaign"},
    ),
}
