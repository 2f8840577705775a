"""Who may do what in Azure: the one table, the code that needs it, and the two apps."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import typing
from typing import Any

import pytest

from scripts.write_roles import NEEDED, PAGE, needed_roles, with_table
from shared.handlers.archive_campaigns import ArchivePorts
from shared.handlers.audit_desk import AuditDesk
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.exchange_ticket import TicketDesk
from shared.handlers.failure_logs import LogDesk
from shared.handlers.fold_reports import FoldPorts
from shared.handlers.note_lifecycle import LifecyclePorts
from shared.handlers.reconcile import ReconcilePorts
from shared.handlers.relay_reports import RelayPorts
from shared.handlers.spec_desk import SpecDesk
from shared.handlers.visit_batch import VisitPorts
from shared.ports.bus import Queue
from shared.ports.hub import TwinWriter
from shared.ports.keys import KeyRing
from tests.support.bicep import INFRA, ROOT
from tests.support.functions import read_triggers

ROLES = json.loads((INFRA / "roles.json").read_text())
APPS = json.loads((INFRA / "apps.json").read_text())
ROWS = ROLES["assignments"]
FIELD_PORTS = (ArchivePorts, FoldPorts, LifecyclePorts, LogDesk, ReconcilePorts, RelayPorts, TicketDesk, VisitPorts)


def test_every_function_runs_in_one_app_and_what_tells_of_an_app_in_both() -> None:
    assert sorted(APPS["both"] + APPS["field"] + APPS["control"]) == sorted(read_triggers())


@pytest.mark.parametrize("ports", FIELD_PORTS, ids=lambda ports: ports.__name__)
def test_what_the_field_app_runs_holds_nothing_that_signs_or_offers(ports: type) -> None:
    assert not _reached(ports) & {KeyRing, AuditDesk, SpecDesk, CampaignPorts, TwinWriter}


def test_the_search_for_what_signs_finds_it() -> None:
    assert {KeyRing, AuditDesk, SpecDesk} & _reached(CampaignPorts)


def _reached(ports: Any) -> set[Any]:
    found = {ports}
    if dataclasses.is_dataclass(ports):
        for hint in typing.get_type_hints(ports).values():
            found |= _reached(hint)
    return found


def test_only_the_control_app_may_sign_or_write_twins() -> None:
    for dangerous in ("Groundswell Key Signer", "Groundswell Twin Writer"):
        assert {row["who"] for row in ROWS if row["role"] == dangerous} == {"control"}


def test_dps_writes_the_registry_and_its_twins_and_has_no_other_role() -> None:
    """What it writes into a twin no device believes: it has no key."""
    rows = [row for row in ROWS if row["who"] == "dps"]
    assert [(row["role"], row["kind"]) for row in rows] == [("Groundswell Device Registrar", "linkedhub")]
    may = ROLES["custom"]["Groundswell Device Registrar"]
    assert {action.split("/")[2] for action in may} == {"devices", "twins"}
    writers = {name for name, actions in ROLES["custom"].items() if any("twins/write" in one for one in actions)}
    assert {row["who"] for row in ROWS if row["role"] in writers} == {"control", "dps"}


def test_nobody_has_a_data_role_on_all_of_the_data_account_that_reaches_packages() -> None:
    wide = [row["role"] for row in ROWS if row["kind"] == "account"]
    assert sorted(wide) == ["Storage Blob Delegator", "Storage Queue Data Contributor"]


def test_every_row_says_a_known_role_once() -> None:
    assert {row["role"] for row in ROWS} == set(ROLES["builtIn"]) | set(ROLES["custom"])
    keys = [(row["who"], row["role"], row["kind"], row["name"]) for row in ROWS]
    assert len(keys) == len(set(keys))


def test_every_row_is_on_something_that_is_deployed() -> None:
    cloud = json.loads((INFRA / "local/cloud.json").read_text())
    known = {
        "container": set(cloud["storage"]["containers"]),
        "table": set(cloud["storage"]["tables"]),
        "queue": {queue.value for queue in Queue},
        "eventhub": {one["name"] for one in cloud["eventHubs"]},
    }
    for row in ROWS:
        assert row["name"] in known.get(row["kind"], {row["name"]}), row
    loops = "".join((INFRA / f"modules/{name}.bicep").read_text() for name in ("roles", "late-roles", "provisioning"))
    assert set(re.findall(r"row\.kind == '(\w+)'", loops)) == {row["kind"] for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['who']}-{row['role']}-{row['kind']}-{row['name']}")
def test_what_a_row_is_needed_by_exists(row: dict[str, Any]) -> None:
    assert row["needs"]
    for need in row["needs"]:
        if not need.startswith("platform: "):
            module, *path = need.split(".")
            found: Any = importlib.import_module(f"shared.adapters.{module}")
            for name in path:
                found = getattr(found, name)


def test_every_adapter_of_the_service_is_named_by_a_row() -> None:
    wiring = (ROOT / "shared/wiring/adapters.py").read_text()
    made = set(re.findall(r"^from shared\.adapters\.(azure_\w+) import", wiring, re.M))
    named = {need.split(".")[0] for row in ROWS for need in row["needs"]}
    # Bulk writes need the right to make and delete devices; they are off until a hub was checked.
    assert made - named == {"azure_twins_bulk"}


def test_triggers_may_receive_in_the_app_that_runs_them() -> None:
    receivers = {(row["who"], row["name"]) for row in ROWS if row["role"] == "Azure Service Bus Data Receiver"}
    queues = {name: one["queueName"] for name, one in read_triggers().items() if one["type"] == "serviceBusTrigger"}
    assert receivers == {(app, queues[name]) for app in ("field", "control") for name in APPS[app] if name in queues}


def test_whoever_takes_messages_may_send_them_again_for_later() -> None:
    """Where settings are wrong or a service is out, the message goes back to its queue."""
    may = {
        role: {(row["who"], row["name"]) for row in ROWS if row["role"] == f"Azure Service Bus Data {role}"}
        for role in ("Receiver", "Sender")
    }
    assert may["Receiver"] <= may["Sender"]


def test_the_page_has_the_table() -> None:
    """Mend it with ``python -m scripts.write_roles``."""
    assert with_table(PAGE.read_text()) == PAGE.read_text()


def test_errors_know_the_roles_of_the_table() -> None:
    """Mend it with ``python -m scripts.write_roles``."""
    assert needed_roles() == NEEDED.read_text()
