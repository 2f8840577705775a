"""What ``/packages`` answers, and what withdrawing a package takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.packages import RegisteredPackage
from shared.wire.http_fields import InvalidRequest, complaints


class PackageView(BaseModel):
    """A package as operators see it."""

    name: str
    version: str
    kind: str
    state: str = Field(description="accepted, published, refused, withdrawing or withdrawn")
    path: str = Field(description="Target path in the index")
    length_bytes: int
    sha256: str
    compatibility: dict[str, list[str]]
    publisher_key: str | None = Field(description="Id of the key that its publisher signed with")
    accepted_at: datetime
    published_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdrawn_reason: str | None


class PackagePage(BaseModel):
    """Part of the list; ``continuation`` is the query parameter for the next part, null at the end."""

    packages: list[PackageView]
    continuation: str | None = None


class WithdrawRequest(BaseModel):
    """Why a package is withdrawn."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    reason: Annotated[str, Field(min_length=1, max_length=500)]


def read_withdraw_request(body: bytes) -> WithdrawRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, gives no reason, or has other fields.
    """
    try:
        return WithdrawRequest.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error


def view_package(row: RegisteredPackage) -> PackageView:
    """A package as it is shown."""
    package, withdrawal = row.package, row.withdrawal
    return PackageView(
        name=package.name,
        version=package.version.text,
        kind=package.kind.value,
        state=row.state.value,
        path=package.path,
        length_bytes=package.length_bytes,
        sha256=package.sha256,
        compatibility={key: list(values) for key, values in package.compatibility.items()},
        publisher_key=package.publisher.keyid if package.publisher else None,
        accepted_at=row.accepted_at,
        published_at=row.published_at,
        withdrawn_at=withdrawal.at if withdrawal else None,
        withdrawn_by=withdrawal.by if withdrawal else None,
        withdrawn_reason=withdrawal.reason if withdrawal else None,
    )
