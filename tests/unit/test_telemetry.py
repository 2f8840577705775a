"""Traces from message to message, ids on spans and log records, and nothing of it where nobody listens."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from shared.domain.ids import campaign_id, device_id
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch
from shared.edge.subjects import tell_subject
from shared.edge.traced_app import TracedApp, traced
from shared.handlers.index_writing import IndexWriter
from shared.handlers.rebuild_index import rebuild_index
from shared.telemetry.carriers import LINK, LONGEST_TRACE_S, TRACEPARENT, TRACESTATE, carry
from shared.telemetry.execution import about, execution
from shared.telemetry.signals import Signal, emit
from shared.telemetry.threads import TellingThreads
from shared.wire.messages import BatchVisit, BatchWork, CampaignStep, IndexRequest
from shared.wiring import telemetry
from tests.support.bicep import ROOT
from tests.support.functions import FUNCTIONS
from tests.support.repository import Repository
from tests.support.spans import Spans, records_sent, spans_kept

HOST = "00-11111111111111111111111111111111-2222222222222222-01"
log = logging.getLogger("shared.handlers.made_up")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    with spans_kept(monkeypatch) as kept:
        yield kept


type Records = list[tuple[str, dict[str, object]]]


@pytest.fixture
def sent() -> Iterator[Records]:
    """What the handler on the root logger sends: text and attributes."""
    kept: Records = []
    with records_sent(lambda text, fields: kept.append((text, fields))):
        yield kept


def _carried(*, visible_in_s: float | None = None, by: str = "sender") -> dict[str, str]:
    """What a message carries that an execution of this name sends."""
    with execution(by):
        later = None if visible_in_s is None else datetime.now(UTC) + timedelta(seconds=visible_in_s)
        return carry(visible_at=later)


def _id(span: ReadableSpan) -> SpanContext:
    assert span.context is not None
    return span.context


def _linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


# Propagation


@pytest.mark.parametrize("visible_in_s", [None, 1, 60])
def test_what_is_to_be_done_soon_continues_the_trace(spans: Spans, visible_in_s: float | None) -> None:
    carried = _carried(visible_in_s=visible_in_s)
    with execution("receiver", [carried]):
        again = carry()

    sender, receiver = spans.named("sender"), spans.named("receiver")
    assert receiver.parent is not None
    assert (receiver.parent.trace_id, receiver.parent.span_id) == (_id(sender).trace_id, _id(sender).span_id)
    assert again[TRACESTATE] == carried[TRACESTATE]
    assert receiver.links == ()


@pytest.mark.parametrize("visible_in_s", [300, 86_400 * 20])
def test_what_comes_back_much_later_begins_a_trace_that_links_to_where_it_came_from(
    spans: Spans, visible_in_s: float
) -> None:
    carried = _carried(visible_in_s=visible_in_s)
    assert carried.keys() == {LINK}
    with execution("receiver", [carried]):
        pass

    sender, receiver = spans.named("sender"), spans.named("receiver")
    assert receiver.parent is None
    assert _id(receiver).trace_id != _id(sender).trace_id
    assert _linked(receiver) == [_id(sender).span_id]


def test_a_trace_that_has_gone_on_for_long_is_linked_and_not_continued(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = _carried()
    now = datetime.now(UTC).timestamp()
    monkeypatch.setattr("time.time", lambda: now + LONGEST_TRACE_S + 2)
    with execution("second", [carried]):
        linking = carry()
    # The trace that follows counts from its own beginning.
    with execution("third", [linking]):
        follows = carry()

    assert linking.keys() == {LINK}
    assert follows.keys() == {TRACEPARENT, TRACESTATE}
    assert _linked(spans.named("third")) == [_id(spans.named("second")).span_id]


def test_an_execution_for_many_messages_links_to_them_all(spans: Spans) -> None:
    carriers = [_carried(by="a"), _carried(by="b", visible_in_s=600), {}]
    with execution("receiver", carriers):
        pass

    receiver = spans.named("receiver")
    assert receiver.parent is None
    assert _linked(receiver) == [_id(spans.named("a")).span_id, _id(spans.named("b")).span_id]


def test_a_host_that_continues_the_trace_stands_between(spans: Spans) -> None:
    carried = _carried()
    trace_id = carried[TRACEPARENT].split("-")[1]
    with _host(f"00-{trace_id}-2222222222222222-01"), execution("receiver", [carried]):
        again = carry()

    receiver = spans.named("receiver")
    assert receiver.parent is not None
    assert receiver.parent.span_id == 0x2222222222222222
    # What the host dropped on the way, the age of the trace, is taken up again.
    assert again[TRACESTATE] == carried[TRACESTATE]


def test_a_host_with_a_trace_of_its_own_is_linked(spans: Spans) -> None:
    carried = _carried()
    with _host(HOST), execution("receiver", [carried]):
        pass

    receiver = spans.named("receiver")
    assert receiver.parent is not None
    assert receiver.parent.span_id == _id(spans.named("sender")).span_id
    assert _linked(receiver) == [0x2222222222222222]


def test_without_a_message_the_host_is_the_parent(spans: Spans) -> None:
    with _host(HOST), execution("timer"):
        pass
    parent = spans.named("timer").parent
    assert parent is not None
    assert parent.span_id == 0x2222222222222222


@pytest.mark.parametrize(
    "carrier",
    [
        {},
        {TRACEPARENT: "nonsense"},
        {TRACEPARENT: 7},
        {TRACEPARENT: "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {LINK: ""},
    ],
)
def test_nonsense_begins_a_trace(spans: Spans, carrier: dict[str, object]) -> None:
    with execution("receiver", [carrier]):
        assert TRACEPARENT in carry()
    assert spans.named("receiver").parent is None
    assert spans.named("receiver").links == ()


def test_an_age_that_is_no_number_counts_from_now(spans: Spans) -> None:
    with execution("receiver", [{TRACEPARENT: HOST, TRACESTATE: "groundswell=soon,vendor=x"}]):
        carried = carry()
    assert carried[TRACEPARENT].split("-")[1] == HOST.split("-")[1]
    assert "vendor=x" in carried[TRACESTATE]


def test_nobody_listens_and_nothing_is_carried() -> None:
    with execution("quiet"):
        about(campaign="c1")
        assert carry() == {}


class _host:  # noqa: N801 - reads as a statement
    """The trace context that the worker attaches before it calls a function."""

    def __init__(self, traceparent: str) -> None:
        version, trace_id, span_id, flags = traceparent.split("-")
        assert (version, flags) == ("00", "01")
        told = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(1))
        self._context = trace.set_span_in_context(trace.NonRecordingSpan(told))

    def __enter__(self) -> None:
        self._token = context.attach(self._context)

    def __exit__(self, *error: object) -> None:
        context.detach(self._token)


# Ids


def test_ids_go_to_the_span_and_to_every_record_and_end_with_the_execution(spans: Spans, sent: Records) -> None:
    with execution("on_device_batch"):
        about(campaign="c1", wave=2, batch=7)
        log.info("working")
    with execution("another"):
        log.info("resting")

    ids = {"groundswell.campaign": "c1", "groundswell.wave": 2, "groundswell.batch": 7}
    assert dict(spans.named("on_device_batch").attributes or {}) == ids
    assert sent == [("working", ids), ("resting", {})]


def test_a_name_somebody_made_very_long_is_cut(spans: Spans) -> None:
    with execution("get_package"):
        about(package="x" * 5_000)
    assert spans.named("get_package").attributes == {"groundswell.package": "x" * 128}


def test_what_messages_have_in_common_is_told(spans: Spans) -> None:
    spring = campaign_id("spring")
    four = DeviceBatch(wave=3, shard=0, number=5, first=device_id("a"), last=device_id("d"), count=4)
    with execution("batch"):
        tell_subject([BatchWork(campaign=spring, batch=four, purpose=BatchPurpose.OFFER, step=1)])
    with execution("device"):
        tell_subject([BatchVisit(campaign=spring, batch=replace(four, last=four.first, count=1))])
    with execution("steps"):
        tell_subject([CampaignStep(campaign=spring, wave=1), CampaignStep(campaign=spring)])
    with execution("index"):
        tell_subject([IndexRequest(name="a", version="1"), IndexRequest(name="b", version="1")])
    with execution("nothing"):
        tell_subject([])

    told = {span.name: dict(span.attributes or {}) for span in spans.all()}
    batch = {"groundswell.campaign": "spring", "groundswell.wave": 3, "groundswell.shard": 0, "groundswell.batch": 5}
    assert told == {
        "batch": batch,
        "device": batch | {"groundswell.device": "a"},
        "steps": {"groundswell.campaign": "spring"},
        "index": {},
        "nothing": {},
    }


def test_a_failed_execution_says_the_kind_of_error_and_no_more(spans: Spans) -> None:
    with pytest.raises(LookupError), execution("failing"):
        raise LookupError("the ticket gw1.secret was refused")
    failed = spans.named("failing")
    assert (failed.status.is_ok, failed.status.description) == (False, "LookupError")
    assert failed.attributes == {"error.type": "LookupError"}
    assert failed.events == ()


# Signals and records


def test_a_signal_has_its_fields_and_no_others(sent: Records) -> None:
    emit(log, Signal.RECONCILED, "reconciled", reads=3, differences=1)
    with pytest.raises(ValueError, match="reads"):
        emit(log, Signal.RECONCILED, "reconciled", reads=3)
    fields = {"groundswell.signal": "reconciled", "groundswell.reads": 3, "groundswell.differences": 1}
    assert sent == [("reconciled", fields)]


def test_a_strangers_words_are_sent_in_characters_that_travel(sent: Records) -> None:
    emit(log, Signal.PARKED, "\ud83d" * 5_000, source="twin-changes", code="\ud83d")
    [(said, fields)] = sent
    assert fields["groundswell.code"] == "\\ud83d"
    assert len(said.encode()) == len("\\ud83d") * 2_000


def test_a_record_says_itself_whom_it_is_about(spans: Spans, sent: Records) -> None:
    with execution("every_minute_resume"):
        about(campaign="another")
        emit(log, Signal.FOLDED, "folded", campaign="c1", reports=1, late=0, slowest_s=0.5)
    [(_, fields)] = sent
    assert fields["groundswell.campaign"] == "c1"


def test_other_peoples_fields_are_not_sent_and_neither_is_what_looks_like_a_secret(sent: Records) -> None:
    log.info("went to https://x/p?sv=1&sig=abc%2Bd&se=2", extra={"connection": "AccountKey=abc", "ticket": "gw1"})
    try:
        raise OSError("Endpoint=sb://x;SharedAccessKeyName=root;SharedAccessKey=s3cret==;EntityPath=q")
    except OSError:
        log.exception("the bus is away")

    told = repr(sent)
    assert "sig=…" in told
    assert "SharedAccessKey=…" in told
    for secret in ("abc", "gw1", "s3cret"):
        assert secret not in told
    assert "exception.stacktrace" in told


def test_libraries_are_heard_when_something_is_wrong_and_those_that_send_never(sent: Records) -> None:
    for name in ("azure.servicebus", "azure.monitor.opentelemetry.exporter", "urllib3.connectionpool", "sharedness"):
        logging.getLogger(name).info("chatting")
        logging.getLogger(name).warning("%s warns", name)
    log.debug("details")
    log.info("working")
    assert [text for text, _ in sent] == ["azure.servicebus warns", "sharedness warns", "working"]


# Threads


def test_what_a_thread_of_ours_logs_is_about_the_same_and_in_the_same_trace(spans: Spans, sent: Records) -> None:
    with TellingThreads(2) as pool:
        # The threads exist already, made by somebody else's execution.
        with execution("before"):
            about(campaign="of-before")
            list(pool.map(lambda number: log.info("early %d", number), range(8)))
        with execution("within"):
            about(campaign="c1", batch="b1")
            list(pool.map(lambda number: log.info("mapped %d", number), range(8)))
            pool.submit(log.info, "submitted").result()
        pool.submit(log.info, "about nobody").result()

    fields = {text: told for text, told in sent if not text.startswith("early")}
    assert fields.pop("about nobody") == {}
    assert len(fields) == 9
    assert all(told == {"groundswell.campaign": "c1", "groundswell.batch": "b1"} for told in fields.values())


def test_spans_of_a_thread_hang_under_the_execution_that_gave_it_work(spans: Spans) -> None:
    with TellingThreads(1) as pool, execution("within"):
        carried = pool.submit(carry).result()
    assert carried[TRACEPARENT].split("-")[2] == f"{_id(spans.named('within')).span_id:016x}"


def test_what_a_task_says_of_itself_stays_with_it(spans: Spans, sent: Records) -> None:
    def look_at(device: str) -> None:
        about(device=device)
        log.info("at %s", device)

    with TellingThreads(1) as pool, execution("within"):
        about(campaign="c1")
        list(pool.map(look_at, ["gw-1", "gw-2"]))
        pool.submit(log.info, "later").result()
        log.info("outside")

    told = {text: fields.get("groundswell.device") for text, fields in sent}
    assert told == {"at gw-1": "gw-1", "at gw-2": "gw-2", "later": None, "outside": None}


def test_the_service_has_no_threads_that_would_not_tell() -> None:
    """One place makes threads: whatever pool or thread comes later takes its context along, or fails here."""
    home = ROOT / "shared/telemetry/threads.py"
    places = [path for path in sorted((ROOT / "shared").rglob("*.py")) if path != home]
    makers = re.compile(r"\b(ThreadPoolExecutor|ProcessPoolExecutor|ThreadPool|run_in_executor|Timer)\b|\bThread\(")
    assert makers.search(home.read_text())
    assert [str(path) for path in places if makers.search(path.read_text())] == []


def test_rebuilding_the_index_tells_of_its_operation_from_every_thread(
    spans: Spans, sent: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository()
    writer = repository.writer()
    create = type(writer).create

    def create_and_tell(self: IndexWriter, name: str, *args: Any) -> tuple[int, bytes]:
        log.info("writes %s from %s", name, threading.current_thread().name)
        return create(self, name, *args)

    monkeypatch.setattr(IndexWriter, "create", create_and_tell)
    with execution("every_day_refresh_index"):
        about(operation="rebuild-1")
        rebuild_index(writer, repository.packages, now=repository.now)

    in_threads = [fields for text, fields in sent if text.startswith("writes") and " bin" in text.split(" from")[1]]
    assert in_threads
    assert {fields.get("groundswell.operation") for fields in in_threads} == {"rebuild-1"}


# The app


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_opens_a_span(name: str) -> None:
    assert FUNCTIONS[name].get_user_function().__wrapped__.__name__ == name


def test_a_request_is_about_what_its_route_names(spans: Spans) -> None:
    app = TracedApp()

    @app.route("campaigns/{id}/devices/{device}/log", methods=["GET"])
    def get_device_log(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("no", status_code=404)

    [function] = app.get_functions()
    request = func.HttpRequest(
        method="GET", url="http://x", body=b"", route_params={"id": "c1", "device": "gw-1"}, headers={"x": "ticket"}
    )
    assert function.get_user_function()(req=request).status_code == 404
    assert spans.named("get_device_log").attributes == {
        "groundswell.campaign": "c1",
        "groundswell.device": "gw-1",
        "http.response.status_code": 404,
    }


def test_an_event_continues_the_trace_of_its_publisher(spans: Spans) -> None:
    carried = _carried()
    event = func.CloudEvent(id="1", source="s", type="t", specversion="1.0", data={}, **carried)
    traced(str, {})(event)
    parent = spans.all()[-1].parent
    assert parent is not None
    assert parent.span_id == _id(spans.named("sender")).span_id


def test_a_connection_string_that_is_wrong_stops_no_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telemetry, "_has_begun", False)
    telemetry.begin_telemetry({telemetry.CONNECTION: "InstrumentationKey=nonsense"})
    telemetry.begin_telemetry({telemetry.CONNECTION: "InstrumentationKey=nonsense"})
    assert [record.levelname for record in caplog.records if telemetry.CONNECTION in record.getMessage()] == ["ERROR"]
    with execution("works"):
        assert carry() == {}


def test_a_process_without_telemetry_imports_none_of_the_sdk() -> None:
    names = "name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'azure.monitor'))"
    look = f"import sys, function_app; print([{names}])"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
