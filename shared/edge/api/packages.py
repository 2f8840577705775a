"""Packages, and the index over them as devices see it."""

from __future__ import annotations

from collections.abc import Mapping

from shared.edge.api.parts import BAD_PAGE, BAD_REQUEST, NO_PACKAGE, PAGE
from shared.wire.http_packages import PackagePage, PackageView, WithdrawRequest
from shared.wire.openapi import Answer, Parameter, Route

_FILE_HEADERS = {
    "ETag": "Of this representation",
    "Cache-Control": "For ever, but for timestamp.json",
    "Vary": "Accept-Encoding",
}
_IF_NONE_MATCH = Parameter(
    name="If-None-Match", place="header", meaning="ETags that the caller has", schema={"type": "string"}
)

PACKAGES: Mapping[str, Route] = {
    "get_packages": Route(
        method="GET",
        path="packages",
        summary="List packages",
        parameters=PAGE,
        answers={200: Answer(meaning="One page, in the order of names", body=PackagePage)},
        refusals=BAD_PAGE,
    ),
    "get_package": Route(
        method="GET",
        path="packages/{name}/{version}",
        summary="Show a package",
        answers={200: Answer(meaning="The package", body=PackageView)},
        refusals=NO_PACKAGE,
    ),
    "post_package_withdrawal": Route(
        method="POST",
        path="packages/{name}/{version}/withdraw",
        summary="Take a package out of the index; its campaigns pause",
        description="Asked again with the same reason, it changes nothing.",
        body=WithdrawRequest,
        answers={202: Answer(meaning="The package, which leaves the index within seconds", body=PackageView)},
        refusals={
            **BAD_REQUEST,
            **NO_PACKAGE,
            409: "It never entered the index, or was withdrawn for another reason",
        },
    ),
    "get_repository": Route(
        method="GET",
        path="repository/metadata/{name}",
        summary="A metadata file of the index, for any TUF client",
        access="open",
        parameters=(_IF_NONE_MATCH,),
        answers={
            200: Answer(meaning="The file", body={"type": "object"}, headers=_FILE_HEADERS),
            304: Answer(meaning="The caller has it", headers=_FILE_HEADERS),
        },
        refusals={404: "There is no such file"},
    ),
    "get_download": Route(
        method="GET",
        path="downloads/{*path}",
        summary="Exchange a device's ticket for a short-lived URL of its package",
        description="`path` is the package's target path in the index, slashes and all.",
        access="ticket",
        answers={307: Answer(meaning="Fetch it there", headers={"Location": "A URL that lives minutes"})},
        refusals={
            401: "The ticket is missing, forged, expired or for another package",
            404: "The ticket's campaign or device is unknown",
            410: "The offer no longer stands; asking again does not help",
            503: "The campaign rests, or a service behind this one does not answer",
        },
    ),
}
