"""Traces and log records carry the ids of what they are about, from an operator's call to the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial

import pytest

from agent.fleet.behaviour import FAILS_HEALTH
from bench.telemetry import size_bytes
from cli.local import LocalStack
from shared.domain.telemetry_volume import RECORD_BYTES, SPAN_BYTES, telemetry_rows
from shared.ports.bus import Queue
from tests.scenarios.test_replay import send
from tests.scenarios.test_secrets import PRIVATE_KEY, SIGNATURE, read_secrets
from tests.support.ingestion import Ingestion, Record, Span, ingestion
from tests.support.scenario import functions_told, run_timer
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until
from tests.support.workspace import Workspace
from tests.unit.test_infra_alerts import ALERTS, QUERIES

CHAIN = ("post_campaign", "on_campaign_step", "on_device_batch")


@pytest.fixture(scope="module")
def sent(stack: LocalStack) -> Iterator[Ingestion]:
    """What the functions host sends, as the real exporter sends it."""
    with ingestion() as (kept, settings), functions_told(stack, settings):
        yield kept


def test_one_trace_goes_from_the_call_to_the_twins_and_another_from_the_twins_to_the_table(
    sent: Ingestion, scene: Scene
) -> None:
    """IoT Hub carries no trace from the offer to the report: the ids join the two."""
    devices = scene.devices(5)
    scene.artifacts.publish()
    with scene.fleet(devices):
        campaign = scene.start(devices, waves=[{"count": 2}, {"rest": True}])
        scene.wait_for_campaign(campaign, "completed")
    spans = _wait_for(sent, campaign, *CHAIN, "on_rollout_reported", "on_batch_deadline")

    [posted] = [span for span in spans if span.name == "post_campaign"]
    assert posted.parent == ""
    offers = [span for span in spans if span.name == "on_device_batch" and span.fields["wave"] == "1"]
    for offer in offers:
        assert [span.name for span in _way(offer, spans)][::-1][:2] == list(CHAIN[:2])
        assert offer.trace == posted.trace
        assert {"shard", "batch"} <= offer.fields.keys()

    relays = {span.id: span for span in sent.spans() if span.name == "relay_twin_changes"}
    folds = [span for span in spans if span.name == "on_rollout_reported"]
    for fold in folds:
        relay = relays[fold.parent]
        assert (relay.trace, relay.parent) == (fold.trace, "")
    # What a fold asks for, the gate's evaluation, belongs to the fold's trace.
    assert {span.trace for span in spans if span.name == "on_campaign_step"} & {fold.trace for fold in folds}

    [ended] = wait_until(lambda: sent.records(campaign=campaign, signal="campaign_changed", state="completed"))
    wait_until(lambda: ended.trace in {span.trace for span in sent.spans(campaign=campaign)}, timeout_s=15)
    wait_until(lambda: sum(int(each.fields["reports"]) for each in _folded(sent, campaign)) >= len(devices))
    written = _folded(sent, campaign)
    assert all(float(each.fields["slowest_s"]) < 60 and each.fields["late"] == "0" for each in written)


def test_alerts_fire_over_what_was_really_sent(sent: Ingestion, scene: Scene) -> None:
    """A gate stops a campaign, and a message comes that nobody can read; timers run meanwhile."""
    devices = scene.devices(2)
    scene.artifacts.publish()
    send(scene, Queue.DEVICE_BATCHES, b"nonsense")
    with scene.fleet(dict.fromkeys(devices, FAILS_HEALTH)):
        campaign = scene.start(devices, waves=[{"rest": True, "gate": {"failure_percent": 0}}])
        scene.wait_for_campaign(campaign, "paused")
    for timer in ("every_hour_reconcile", "every_day_refresh_index", "every_minute_resume"):
        run_timer(scene.stack, timer)
    _wait_for(sent, campaign, *CHAIN, "on_rollout_reported")
    signals = ("parked", "index_refreshed", "reconciled", "resumed")
    for fields in (*({"signal": signal} for signal in signals), {"campaign": campaign, "state": "paused"}):
        wait_until(partial(sent.records, **fields), timeout_s=15, what=f"{fields}")

    workspace = Workspace()
    workspace.take(sent.envelopes())
    fired = {rule["name"] for rule in ALERTS["queries"] if workspace.fires(rule)}
    assert fired >= {"parked", "stopped-by-gate"}
    silent = {"silence", "field-silence", "index-not-refreshed", "index-expiry"}
    assert not fired & {*silent, "event-to-table", "relay-lag", "quota"}
    told = workspace.ask(QUERIES["workbook one-campaign"].replace("{Campaign}", campaign))
    assert any("the gate of wave 1" in row["text"] for row in told)
    done = workspace.ask(QUERIES["workbook one-campaign-executions"].replace("{Campaign}", campaign))
    assert {row["Name"] for row in done} >= {*CHAIN, "on_rollout_reported"}
    assert all(row["DurationMs"] > 0 for row in done)


def test_a_campaign_sends_no_more_rows_and_no_larger_ones_than_its_dry_run_reckons_with(
    sent: Ingestion, scene: Scene
) -> None:
    """The service's own; what Azure's host adds cannot be seen here."""
    devices = scene.devices(12)
    scene.artifacts.publish()
    with scene.fleet(devices):
        body = scene.request(devices, waves=[{"count": 2}, {"rest": True}])
        usage = scene.post("campaigns?dry_run=true", body).json()["plan"]["usage"]
        campaign = scene.start(devices, waves=[{"count": 2}, {"rest": True}])
        scene.wait_for_campaign(campaign, "completed")
    _wait_for(sent, campaign, *CHAIN, "on_rollout_reported", "on_batch_deadline")
    wait_until(lambda: sum(int(each.fields["reports"]) for each in _folded(sent, campaign)) >= len(devices))

    about_it = [each for each in sent.envelopes() if campaign in json.dumps(each["data"])]
    spans = [size_bytes(each) for each in about_it if each["data"]["baseType"] == "RemoteDependencyData"]
    records = [size_bytes(each) for each in about_it if each["data"]["baseType"] == "MessageData"]
    assert sum(spans) / len(spans) == pytest.approx(SPAN_BYTES, rel=0.15)
    assert sum(records) / len(records) == pytest.approx(RECORD_BYTES, rel=0.15)
    # Relays are about no campaign, and at most as many as folds ask for.
    most = telemetry_rows(executions=usage["function_executions"], reports=usage["device_reports"], batches=2)
    assert len(devices) <= len(spans) <= most.spans
    assert len(records) <= most.records
    assert usage["telemetry_rows"] >= most.all
    assert {each["data"]["baseType"] for each in sent.envelopes()} <= {
        "RemoteDependencyData",
        "MessageData",
        "ExceptionData",
    }


def test_no_secret_is_in_what_is_sent(sent: Ingestion, scene: Scene) -> None:
    """I10: after a campaign whose devices exchanged their tickets."""
    devices = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet(devices):
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "completed")
        tickets = [str(scene.desired(device)["update"]["ticket"]) for device in devices]
    _wait_for(sent, campaign, *CHAIN)
    wait_until(lambda: any(span.name == "get_download" for span in sent.spans()), timeout_s=15)

    secrets = read_secrets(scene.stack, devices) | {f"ticket of {n}": ticket for n, ticket in enumerate(tickets)}
    places = {**secrets, "a signature": SIGNATURE, "a private key": PRIVATE_KEY}
    told = sent.everything()
    assert [name for name, secret in places.items() if secret in told] == []
    assert scene.name in told


def _wait_for(sent: Ingestion, campaign: str, *names: str) -> list[Span]:
    """The campaign's spans, as soon as there are some of each name, and those above them have been sent as well."""

    def all_there() -> list[Span]:
        spans, known = sent.spans(campaign=campaign), {span.id for span in sent.spans()}
        is_whole = set(names) <= {span.name for span in spans} and all(span.parent in {"", *known} for span in spans)
        return spans if is_whole else []

    return wait_until(all_there, timeout_s=15, what=f"spans of {names}")


def _folded(sent: Ingestion, campaign: str) -> list[Record]:
    return sent.records(campaign=campaign, signal="folded")


def _way(span: Span, spans: Iterable[Span]) -> list[Span]:
    """The spans above this one, the nearest first."""
    by_id = {each.id: each for each in spans}
    way: list[Span] = []
    parent = by_id.get(span.parent)
    while parent is not None:
        way.append(parent)
        parent = by_id.get(parent.parent)
    return way
