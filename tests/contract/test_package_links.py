"""Download links, crash reports and blob errors against a real Azurite."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.adapters.azure_artifacts import AzureArtifacts
from shared.adapters.azure_links import AccountKeyLinks
from shared.adapters.azure_poison import POISON_QUEUE, AzureCrashReports
from shared.ports.errors import Unavailable

NAME = "gateway-fw/1:2.0~rc1+b/0a1b.gateway-fw-1:2.0~rc1+b #1.img"
MINUTES = timedelta(minutes=5)


@pytest.fixture
def service(storage_connection: str) -> Iterator[BlobServiceClient]:
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        container = service.get_container_client("packages")
        if not container.exists():
            container.create_container()
        container.upload_blob(NAME, b"content", overwrite=True)
        yield service


def test_link_reads_the_package_and_nothing_else(service: BlobServiceClient) -> None:
    url = AccountKeyLinks(service).link(NAME, now=datetime.now(UTC), lifetime=MINUTES)
    assert requests.get(url, timeout=5).content == b"content"
    assert requests.get(url, headers={"Range": "bytes=3-"}, timeout=5).content == b"tent"
    assert requests.put(url, data=b"evil", headers={"x-ms-blob-type": "BlockBlob"}, timeout=5).status_code == 403
    assert requests.delete(url, timeout=5).status_code == 403
    assert requests.get(url.replace("0a1b", "0a1c"), timeout=5).status_code == 403


def test_link_dies_with_its_lifetime(service: BlobServiceClient) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    url = AccountKeyLinks(service).link(NAME, now=long_ago, lifetime=MINUTES)
    assert requests.get(url, timeout=5).status_code == 403


def test_link_goes_through_the_address_it_is_told(service: BlobServiceClient) -> None:
    links = AccountKeyLinks(service, base_url="https://cdn.example/")
    url = links.link(NAME, now=datetime.now(UTC), lifetime=MINUTES)
    assert url.startswith("https://cdn.example/packages/gateway-fw/1%3A2.0~rc1%2Bb/")
    assert "spr=https&" in url


def test_unreachable_storage_is_unavailable() -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=local;AccountKey={key};BlobEndpoint=http://127.0.0.1:9/local;"
    )
    with BlobServiceClient.from_connection_string(connection, retry_total=0) as service:
        with pytest.raises(Unavailable):
            AzureArtifacts(service).find_incoming("x")
        with pytest.raises(Unavailable):
            list(AzureArtifacts(service).list_incoming())


def test_crash_reports_are_received_and_removed(storage_connection: str) -> None:
    entry = {
        "FunctionId": "Host.Functions.on_artifact_uploaded",
        "BlobType": "BlockBlob",
        "ContainerName": "incoming",
        "BlobName": "a/ü.img",
        "ETag": '"0x1"',
    }
    bodies = [base64.b64encode(json.dumps(entry).encode()).decode(), json.dumps(entry), "garbage", '{"x": 1}']
    with QueueServiceClient.from_connection_string(storage_connection) as queues:
        reports = AzureCrashReports(queues.get_queue_client(POISON_QUEUE))
        assert list(reports.receive()) == []
        queue = queues.create_queue(POISON_QUEUE)
        for body in bodies:
            queue.send_message(body)
        received = list(reports.receive())
        assert [report.container for report in received] == ["incoming", "incoming", "", ""]
        assert {(report.blob_name, report.etag) for report in received[:2]} == {("a/ü.img", '"0x1"')}
        assert received[2].body == b"garbage"
        for report in received:
            reports.remove(report)
            reports.remove(report)
        assert queue.get_queue_properties().approximate_message_count == 0
        queues.delete_queue(POISON_QUEUE)
