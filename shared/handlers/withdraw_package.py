"""An operator withdraws a package: out of the index, its campaigns paused, refused from then on.

The row is marked first and the index request sent then; whoever publishes next takes the package out of its bin,
pauses its campaigns, and settles the row. A death anywhere leaves a marked row, which ``resume_publishing`` finds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.campaigns import Campaign
from shared.domain.errors import Conflict, NotFound
from shared.domain.packages import Package, PackageState, PackageWithdrawal, RegisteredPackage
from shared.domain.people import name_of
from shared.handlers.contention import until_written
from shared.handlers.index_requests import send_index_request
from shared.ports.bus import MessageSender
from shared.ports.errors import NotThere
from shared.ports.packages import PackageStore
from shared.ports.stored import Stored


def withdraw_package(
    name: str, version: str, packages: PackageStore, sender: MessageSender, *, reason: str, who: str, now: datetime
) -> RegisteredPackage:
    """The package, withdrawn or about to be; withdrawing it twice for the same reason changes nothing.

    Raises:
        NotFound: No such package.
        Conflict: It never entered the index and never will; or it was withdrawn for another reason, which stands.
        PortError: It may be marked; withdrawing it again is safe.
    """

    def attempt() -> RegisteredPackage:
        stored = get_package(packages, name, version)
        if stored.value.is_withdrawn:
            return _withdrawn_again(stored, packages, reason=reason)
        if stored.value.state is PackageState.REFUSED:
            raise Conflict(f"package {name} {version} never entered the index: it was refused")
        withdrawal = PackageWithdrawal(at=now, by=who, reason=reason)
        marked = replace(stored.value, state=PackageState.WITHDRAWING, withdrawal=withdrawal)
        packages.save(Stored(value=marked, etag=stored.etag))
        return marked

    row = until_written(attempt, what=f"package {name} {version}")
    if row.state is PackageState.WITHDRAWING:
        send_index_request(row, sender)
    return row


def _withdrawn_again(stored: Stored[RegisteredPackage], packages: PackageStore, *, reason: str) -> RegisteredPackage:
    """The package with its reason; one that was withdrawn without a reason gets it now."""
    row, withdrawal = stored.value, stored.value.withdrawal
    if withdrawal is None or withdrawal.reason == reason:
        return row
    if withdrawal.reason:
        what = f"package {row.package.name} {row.package.version.text}"
        raise Conflict(
            f"{what} was withdrawn by {name_of(withdrawal.by)} at {withdrawal.at:%Y-%m-%d %H:%M} UTC already, because: "
            f"{withdrawal.reason}; that reason stands",
            code="withdrawn_already",
        )
    told = replace(row, withdrawal=replace(withdrawal, reason=reason))
    packages.save(Stored(value=told, etag=stored.etag))
    return told


def get_package(packages: PackageStore, name: str, version: str) -> Stored[RegisteredPackage]:
    """The row of a package.

    Raises:
        NotFound: There is none.
    """
    try:
        return packages.get(name, version)
    except NotThere as error:
        raise NotFound(f"there is no package {name} {version}", code="package_not_found") from error


def is_package_withdrawn(package: Package, packages: PackageStore) -> bool:
    """Whether the package must not be offered any more.

    Raises:
        PortError: The row cannot be read, or is not there.
    """
    return packages.get(package.name, package.version.text).value.is_withdrawn


def find_withdrawn(campaign: Campaign, packages: PackageStore) -> Package | None:
    """One of the campaign's packages that must not be offered any more; then none of them is, until people decide.

    Raises:
        PortError: A row cannot be read, or is not there.
    """
    return next((package for package in campaign.packages if is_package_withdrawn(package, packages)), None)
