"""Download links signed with a user delegation key, against an Azurite that takes identities over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from shared.adapters.azure_links import DelegatedLinks
from shared.ports.errors import PortError
from tests.support.azurite import OauthStorage, oauth_azurite
from tests.support.waiting import wait_until

NAME = "gateway-fw/1:2.0~rc1+b/0a1b.gateway-fw-1:2.0~rc1+b #1.img"
MINUTES = timedelta(minutes=5)
KEY_REQUEST = "comp=userdelegationkey"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OauthStorage]:
    with oauth_azurite(tmp_path_factory.mktemp("azurite")) as storage:
        with storage.blobs() as service:
            container = service.create_container("packages")
            container.upload_blob(NAME, b"content")
            container.upload_blob(NAME.replace("0a1b", "0a1c"), b"another")
        yield storage


@pytest.fixture
def links(storage: OauthStorage) -> Iterator[DelegatedLinks]:
    with storage.blobs() as service:
        yield DelegatedLinks(service)


def get(storage: OauthStorage, url: str, **headers: str) -> requests.Response:
    """As a device fetches: with the link and nothing else."""
    return requests.get(url, headers=headers, verify=str(storage.ca), timeout=10)


def test_link_reads_the_package_and_nothing_else(storage: OauthStorage, links: DelegatedLinks) -> None:
    url = links.link(NAME, now=datetime.now(UTC), lifetime=MINUTES)
    assert get(storage, url).content == b"content"
    assert get(storage, url, Range="bytes=3-").content == b"tent"

    other = get(storage, url.replace("0a1b", "0a1c"))
    assert (other.status_code, b"another" in other.content) == (403, False)
    assert get(storage, url.partition("?")[0]).status_code in (403, 404, 409)
    headers, verify = {"x-ms-blob-type": "BlockBlob"}, str(storage.ca)
    assert requests.put(url, data=b"evil", headers=headers, verify=verify, timeout=10).status_code == 403
    assert requests.delete(url, verify=verify, timeout=10).status_code == 403
    assert get(storage, url).content == b"content"


def test_link_is_worthless_once_a_letter_of_it_is_changed(storage: OauthStorage, links: DelegatedLinks) -> None:
    url = links.link(NAME, now=datetime.now(UTC), lifetime=MINUTES)
    assert get(storage, url).status_code == 200
    assert get(storage, url.replace("sp=r", "sp=rw")).status_code == 403
    later = (datetime.now(UTC) + timedelta(hours=9)).strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ")
    expiry = url.partition("&se=")[2].partition("&")[0]
    assert get(storage, url.replace(f"&se={expiry}", f"&se={later}")).status_code == 403


def test_link_works_until_its_lifetime_is_over(storage: OauthStorage, links: DelegatedLinks) -> None:
    url = links.link(NAME, now=datetime.now(UTC), lifetime=timedelta(seconds=3))
    assert get(storage, url).status_code == 200
    wait_until(lambda: get(storage, url).status_code == 403, timeout_s=15, what="the link to expire")


def test_one_key_signs_the_links_of_a_day(storage: OauthStorage, links: DelegatedLinks) -> None:
    before, now = storage.requests(KEY_REQUEST), datetime.now(UTC)
    for minute in range(20):
        links.link(NAME, now=now + timedelta(minutes=minute), lifetime=MINUTES)
    wait_until(lambda: storage.requests(KEY_REQUEST) == before + 1, timeout_s=5)

    # Half an hour before the key ends a link of an hour would outlive it.
    links.link(NAME, now=now + timedelta(hours=23, minutes=30), lifetime=timedelta(hours=1))
    wait_until(lambda: storage.requests(KEY_REQUEST) == before + 2, timeout_s=5)


def test_link_goes_through_the_address_it_is_told(storage: OauthStorage) -> None:
    with storage.blobs() as service:
        url = DelegatedLinks(service, base_url="https://cdn.example/").link(
            NAME, now=datetime.now(UTC), lifetime=MINUTES
        )
    assert url.startswith("https://cdn.example/packages/gateway-fw/1%3A2.0~rc1%2Bb/")
    assert "spr=https&" in url
    # The CDN asks the account with the same path and query.
    assert get(storage, url.replace("https://cdn.example", storage.blob_url)).content == b"content"


def test_identity_that_storage_does_not_take_makes_no_link(storage: OauthStorage) -> None:
    with storage.blobs(audience="https://vault.azure.net") as service, pytest.raises(PortError):
        DelegatedLinks(service).link(NAME, now=datetime.now(UTC), lifetime=MINUTES)
