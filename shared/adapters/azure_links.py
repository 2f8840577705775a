"""Download links as shared access signatures; both classes implement ``DownloadLinks``.

The signature names account, container and blob, not the host, so a CDN's address may stand before the same path.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import quote

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas

from shared.adapters.azure_artifacts import PACKAGES
from shared.adapters.azure_blob_errors import blob_errors

_READ_ONLY = BlobSasPermissions(read=True)
_CLOCK_SKEW = timedelta(minutes=5)
# The service allows seven days; a day bounds what a leaked key signs and still asks rarely.
_DELEGATION = timedelta(days=1)


class AccountKeyLinks:
    """Signed with the account key of the connection string, as on the local cloud.

    Args:
        base_url: Stands for the storage account's address in every URL; empty leaves that.
    """

    def __init__(self, service: BlobServiceClient, *, base_url: str = "") -> None:
        self._service = service
        self._base_url = base_url or service.url

    def link(self, blob_name: str, *, now: datetime, lifetime: timedelta) -> str:
        """A read-only URL."""
        signature = generate_blob_sas(
            str(self._service.account_name),
            PACKAGES,
            blob_name,
            account_key=self._service.credential.account_key,
            permission=_READ_ONLY,
            start=now - _CLOCK_SKEW,
            expiry=now + lifetime,
            protocol=_protocol(self._base_url),
        )
        return _url(self._base_url, blob_name, signature)


class DelegatedLinks:
    """Signed with a user delegation key, which the app's identity gets from the service and keeps for a day."""

    def __init__(self, service: BlobServiceClient, *, base_url: str = "") -> None:
        self._service = service
        self._base_url = base_url or service.url
        self._key: UserDelegationKey | None = None
        self._key_expires: datetime | None = None

    def link(self, blob_name: str, *, now: datetime, lifetime: timedelta) -> str:
        """A read-only URL."""
        signature = generate_blob_sas(
            str(self._service.account_name),
            PACKAGES,
            blob_name,
            user_delegation_key=self._delegation_key(now, lifetime),
            permission=_READ_ONLY,
            start=now - _CLOCK_SKEW,
            expiry=now + lifetime,
            protocol=_protocol(self._base_url),
        )
        return _url(self._base_url, blob_name, signature)

    def _delegation_key(self, now: datetime, lifetime: timedelta) -> UserDelegationKey:
        if self._key is None or self._key_expires is None or self._key_expires < now + lifetime + _CLOCK_SKEW:
            expires = now + _DELEGATION
            with blob_errors():
                self._key = self._service.get_user_delegation_key(now - _CLOCK_SKEW, expires)
            self._key_expires = expires
        return self._key


def _protocol(base_url: str) -> str:
    return "https" if base_url.startswith("https:") else "https,http"


def _url(base_url: str, blob_name: str, signature: str) -> str:
    return f"{base_url.rstrip('/')}/{PACKAGES}/{quote(blob_name)}?{signature}"
