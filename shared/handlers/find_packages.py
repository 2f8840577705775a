"""Which packages a campaign is about: all published, and of several at most one for any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.domain.errors import NotFound
from shared.domain.packages import Package, PackageState
from shared.domain.variants import find_ambiguous
from shared.ports.errors import NotThere
from shared.ports.packages import PackageStore
from shared.wire.campaign_rows import MAX_RECORDS_LENGTH, write_packages
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_fields import InvalidRequest


def find_packages(request: CampaignRequest, packages: PackageStore) -> tuple[Package, ...]:
    """The packages that are asked for, in their order.

    Raises:
        NotFound: The one that is asked for is unknown, not published yet, or withdrawn.
        InvalidRequest: One of several is, or two of them could be for one device.
    """
    if request.package is not None:
        return (_published(packages, request.package.name, request.package.version),)
    found: list[Package] = []
    complaints: list[str] = []
    for number, each in enumerate(request.packages or ()):
        try:
            found.append(_published(packages, each.name, each.version))
        except NotFound as error:
            complaints.append(f"packages.{number}: {error.message}")
    _refuse(complaints)
    _refuse([*find_ambiguous(found), *_too_long(found)])
    return tuple(found)


def _too_long(packages: Sequence[Package]) -> Iterator[str]:
    length = len(write_packages(packages))
    if length > MAX_RECORDS_LENGTH:
        yield f"packages: their records hold {length} characters, at most {MAX_RECORDS_LENGTH}; name less hardware"


def _refuse(complaints: Sequence[str]) -> None:
    if complaints:
        raise InvalidRequest("; ".join(complaints))


def _published(packages: PackageStore, name: str, version: str) -> Package:
    try:
        registered = packages.get(name, version).value
    except NotThere as error:
        raise NotFound(
            f"there is no package {name} {version}; drop its artifact into the incoming container first",
            code="package_not_found",
        ) from error
    if registered.is_withdrawn:
        raise NotFound(f"package {name} {version} was withdrawn; roll another version out", code="package_withdrawn")
    if registered.state is not PackageState.PUBLISHED:
        raise NotFound(
            f"package {name} {version} is {registered.state}, not yet published; post the campaign again once it is",
            code="package_not_found",
        )
    if (registered.package.name, registered.package.version.text) != (name, version):
        raise NotFound(f"the row of {name} {version} is about another package", code="package_not_found")
    return registered.package
