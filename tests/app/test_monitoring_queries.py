"""The page on monitoring is run as written, against tables that the service's own adapters filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_audit import AzureAuditRecords
from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_packages_table import AzurePackages
from shared.adapters.azure_parking import AzureParking
from shared.adapters.azure_rollouts import AzureRollouts
from shared.adapters.azure_stops import AzureStops
from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.packages import PackageState, RegisteredPackage
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.stops import FleetStop, stop
from shared.handlers.audit_desk import AuditDesk
from shared.ports.stored import Stored
from tests.support.azurite import private_azurite
from tests.support.made_campaigns import make_campaign, make_package
from tests.support.memory_keys import MemoryKeyRing
from tests.support.rollouts import CAMPAIGN, NOON, TARGET, make_rollout

S = RolloutState
PAGE = Path(__file__).parents[2] / "docs/monitoring.md"
TABLES = ("rollout", "devices", "campaigns", "audit", "packages", "budget")
CONTAINERS = ("quarantine", "parked")

_QUESTION = re.compile(r"^### (?P<title>.+)$|^```odata (?P<table>\w+)\n(?P<filter>.+?)\n```$", re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.+?)\n```$", re.MULTILINE | re.DOTALL)

# By heading, for each filter under it in turn: the devices, campaigns, waves or packages that it must find.
ANSWERS: dict[str, list[list[str]]] = {
    "Who failed, and why?": [["gw-2", "gw-3"], ["gw-2", "gw-3", "gw-4", "gw-5", "gw-6"]],
    "Who failed for one reason?": [["gw-2"]],
    "How many devices are in which state?": [["counters~0001", "counters~0001", "counters~0002", "counters~0003"]],
    "Who has the offer and has not taken it?": [["gw-7", "gw-8"]],
    "Whose offer is not in the twin yet?": [["gw-8"]],
    "Who is late?": [["gw-9"]],
    "Who is in wave 2?": [["gw-10"]],
    "Who was left out?": [["gw-11", "gw-15"]],
    "Who was held back with its cohort?": [["gw-15"]],
    "What fails on which hardware?": [["gw-3"]],
    "Who waits for another campaign, and who was taken over by one?": [["gw-13"], ["gw-14"]],
    "One device's history": [["gw-1", "gw-1"]],
    "Is the fleet stopped?": [["hub.example"]],
    "What does a device run?": [["gw-1"]],
    "Which devices does a campaign hold?": [["gw-1"]],
    "Which devices were deleted in IoT Hub, or not found there?": [["gw-3"]],
    "Which campaigns are paused, and why?": [["spring-fix"]],
    "How far are the waves?": [["wave~0001"]],
    "Which campaigns roll out a package?": [["autumn-fix", "spring-fix", "spring-fix-2"]],
    "Who did what to a campaign?": [["pause"]],
    "What is in the index?": [["gateway.firmware"]],
    "What was accepted and is not in the index yet?": [["kiosk-app"]],
}


def questions() -> Iterator[tuple[str, int, str, str]]:
    """Heading, place under it, table and filter of every query on the page."""
    title, place = "", 0
    for match in _QUESTION.finditer(PAGE.read_text()):
        if match["title"]:
            title, place = match["title"], 0
        else:
            yield title, place, match["table"], match["filter"]
            place += 1


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    """An Azurite of its own, because the page names the tables by their names in every deployment."""
    with private_azurite() as connection:
        _fill_tables(connection)
        _fill_containers(connection)
        yield connection


def _fill_tables(connection: str) -> None:
    with TableServiceClient.from_connection_string(connection) as service:
        tables = {name: service.create_table_if_not_exists(name) for name in TABLES}
        _fill_rollouts(AzureRollouts(tables["rollout"]))
        _fill_devices(AzureDevices(tables["devices"]))
        _fill_campaigns(AzureCampaigns(tables["campaigns"]), AzureAuditRecords(tables["audit"]))
        _fill_packages(AzurePackages(tables["packages"]))
        stopped = stop(FleetStop(), "smoke", who="ada", now=NOON)
        AzureStops(tables["budget"], hub="hub.example").save(Stored(value=stopped, etag=""))


def _fill_rollouts(store: AzureRollouts) -> None:
    soon, passed = NOON.replace(hour=13), NOON.replace(minute=10)
    rows = [
        make_rollout("gw-1", S.SUCCEEDED, sent_at=NOON),
        make_rollout("gw-2", S.FAILED, code="health_check_failed", detail="exit status 1"),
        make_rollout("gw-3", S.FAILED, code="disk_full", hardware="mk2"),
        make_rollout("gw-4", S.REJECTED),
        make_rollout("gw-5", S.TIMED_OUT),
        make_rollout("gw-6", S.REGRESSED),
        make_rollout("gw-7", S.OFFERED, sent_at=NOON, due_at=soon),
        make_rollout("gw-8", S.OFFERED, due_at=soon),
        make_rollout("gw-11", S.SKIPPED, code="held_by:autumn-fix"),
    ]
    _create(store, CAMPAIGN, 0, rows)
    _create(store, CAMPAIGN, 1, [make_rollout("gw-9", S.INSTALLING, sent_at=NOON, due_at=passed)])
    _create(store, CAMPAIGN, 0, [make_rollout("gw-10", S.PLANNED, wave=2)])
    conflicts = [
        make_rollout("gw-13", S.PLANNED, wave=3, code="waits_for:autumn-fix"),
        make_rollout("gw-14", S.CANCELLED, wave=3, code="superseded_by:autumn-fix"),
        make_rollout("gw-15", S.SKIPPED, wave=3, code="quarantined"),
    ]
    _create(store, CAMPAIGN, 1, conflicts)
    # Neighbours by name, whom no filter may take for this campaign.
    for neighbour in ("autumn-fix", "spring-fix-2"):
        rollout = make_rollout("gw-1" if neighbour == "autumn-fix" else "gw-12", S.FAILED, wave=2)
        _create(store, CampaignId(neighbour), 0, [replace(rollout, campaign=CampaignId(neighbour), due_at=passed)])


def _create(store: AzureRollouts, campaign: CampaignId, shard: int, rows: list[Rollout]) -> None:
    assert store.create_batch(campaign, shard, rows)


def _fill_devices(store: AzureDevices) -> None:
    records = [
        DeviceRecord(
            device=DeviceId("gw-1"), held_by=CAMPAIGN, installed={TARGET.name: TARGET.version}, changed_at=NOON
        ),
        DeviceRecord(device=DeviceId("gw-2"), changed_at=NOON),
        DeviceRecord(device=DeviceId("gw-3"), held_by=CampaignId("spring-fix-2"), deleted_at=NOON, changed_at=NOON),
    ]
    store.write([Stored(value=record, etag="") for record in records])


def _fill_campaigns(store: AzureCampaigns, audit: AzureAuditRecords) -> None:
    campaign = make_campaign([DeviceId("gw-1")])
    store.create(replace(campaign, state=CampaignState.PAUSED, reason="2 of 11 devices failed"))
    for neighbour in ("autumn-fix", "spring-fix-2"):
        store.create(replace(campaign, id=CampaignId(neighbour)))
    AuditDesk(audit, MemoryKeyRing()).append(_paused(campaign))


def _paused(campaign: Campaign) -> AuditEntry:
    return AuditEntry(
        campaign=campaign.id,
        step=4,
        at=NOON,
        who="ada",
        what="pause",
        before=CampaignState.RUNNING,
        after=CampaignState.PAUSED,
        detail="",
    )


def _fill_packages(store: AzurePackages) -> None:
    published = RegisteredPackage(
        package=make_package(), state=PackageState.PUBLISHED, accepted_at=NOON, published_at=NOON
    )
    waiting = make_package(replace(TARGET, name="kiosk-app"))
    store.create(replace(published, state=PackageState.ACCEPTED, published_at=None))
    row = store.get(TARGET.name, TARGET.version)
    store.save(Stored(value=published, etag=row.etag))
    store.create(RegisteredPackage(package=waiting, state=PackageState.ACCEPTED, accepted_at=NOON))


def _fill_containers(connection: str) -> None:
    with BlobServiceClient.from_connection_string(connection) as service:
        for name in CONTAINERS:
            try:
                service.create_container(name)
            except ResourceExistsError:
                continue
        refusal = {"code": "no_version", "reason": "the artifact carries no version"}
        service.get_blob_client("quarantine", "firmware.bin.1f2e3d4c").upload_blob(b"bytes", metadata=refusal)
        AzureParking(service.get_container_client("parked")).park(
            source="device-batches", body=b"{", code="malformed_message", reason="the message is not JSON"
        )


def found(table: str, rows: list[dict[str, Any]]) -> list[str]:
    def name(row: dict[str, Any]) -> str:
        key = str(row["RowKey"])
        if key == "campaign":
            return str(row["PartitionKey"])
        column = {"audit": "what", "packages": "name"}.get(table, "device")
        return str(row.get(column, key))

    return sorted(map(name, rows))


@pytest.mark.parametrize(("title", "place", "table", "odata"), list(questions()))
def test_each_query_on_the_page_finds_what_it_says(
    connection: str, title: str, place: int, table: str, odata: str
) -> None:
    with TableServiceClient.from_connection_string(connection) as service:
        rows = [dict(row) for row in service.get_table_client(table).query_entities(odata)]
    assert found(table, rows) == sorted(ANSWERS[title][place])


def test_every_question_has_an_answer_here_and_every_answer_a_question() -> None:
    asked: dict[str, int] = {}
    for title, place, _, _ in questions():
        asked[title] = place + 1
    assert asked == {title: len(answers) for title, answers in ANSWERS.items()}


def test_the_snippets_run_as_written(connection: str) -> None:
    output = StringIO()
    with redirect_stdout(output):
        for snippet in _PYTHON.findall(PAGE.read_text()):
            exec(snippet, {"connection": connection})  # noqa: S102  (the page's own text is what is under test)
    lines = output.getvalue().splitlines()
    assert "gw-2 health_check_failed exit status 1" in lines
    assert "quarantine firmware.bin.1f2e3d4c no_version the artifact carries no version" in lines
    assert any(line.startswith("parked device-batches/") and "not JSON" in line for line in lines)
