"""A function app that exercises every trigger; messages say what to do with them."""

import asyncio
import json
import time
import typing
from typing import Any

import azure.functions as func
import journal
from azurefunctions.extensions.bindings import blob

app = func.FunctionApp()


def obey(command: dict[str, Any]) -> None:
    """Do what a message asks for: sleep, fail."""
    time.sleep(command.get("sleep_s", 0))
    if command.get("fail"):
        raise ValueError(f"asked to fail: {command['fail']}")


@app.route(route="echo/{first}/{*rest}", methods=["GET", "POST"], auth_level=func.AuthLevel.FUNCTION)
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "header": req.headers.get("x-sample"),
        "size_bytes": len(req.get_body()),
    }
    return func.HttpResponse(json.dumps(seen), status_code=201, headers={"x-answer": "yes"})


@app.route(route="mirror", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def mirror(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(0)
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("broken on purpose")


@app.route(route="secret", auth_level=func.AuthLevel.ADMIN)
def secret(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("for admins")


@app.service_bus_queue_trigger(arg_name="message", queue_name="%SINGLE_QUEUE%", connection="ServiceBus")
def on_single(message: func.ServiceBusMessage) -> None:
    command = json.loads(message.get_body())
    journal.write(
        "on_single",
        id=message.message_id,
        delivery_count=message.delivery_count,
        properties=message.application_properties,
        subject=message.subject,
        enqueued=message.enqueued_time_utc,
        sequence_number=message.sequence_number,
    )
    obey(command)
    journal.write("on_single.done", id=message.message_id)


@app.service_bus_queue_trigger(arg_name="messages", queue_name="batches", connection="ServiceBus", cardinality="many")
def on_batch(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the worker wants it so
    commands = [json.loads(message.get_body()) for message in messages]
    journal.write(
        "on_batch",
        ids=[message.message_id for message in messages],
        counts=[message.delivery_count for message in messages],
        properties=[message.application_properties for message in messages],
    )
    for command in commands:
        obey(command)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="sessions", connection="ServiceBus", is_sessions_enabled=True
)
def on_session(message: func.ServiceBusMessage) -> None:
    command = json.loads(message.get_body())
    journal.write("on_session", session=message.session_id, number=command["number"])
    obey(command)
    journal.write("on_session.done", session=message.session_id, number=command["number"])


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="session-batches",
    connection="ServiceBus",
    cardinality="many",
    is_sessions_enabled=True,
)
def on_session_batch(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    sessions = {message.session_id for message in messages}
    journal.write("on_session_batch", sessions=sorted(sessions), count=len(messages))


@app.event_grid_trigger(arg_name="event")
def on_grid_event(event: func.EventGridEvent) -> None:
    data = event.get_json()
    journal.write("on_grid_event", id=event.id, type=event.event_type, subject=event.subject, data=data)
    obey(data)


@app.event_grid_trigger(arg_name="event")
def on_cloud_event(event: func.CloudEvent) -> None:
    data = event.get_json()
    journal.write("on_cloud_event", id=event.id, type=event.type, source=event.source, data=data)
    obey(data)


@app.event_hub_message_trigger(arg_name="events", event_hub_name="plain", connection="EventHub", cardinality="many")
def on_plain_events(events: typing.List[func.EventHubEvent]) -> None:  # noqa: UP006
    bodies = [json.loads(event.get_body()) for event in events]
    journal.write(
        "on_plain_events",
        changes=[body["properties"]["desired"]["plain"] for body in bodies],
        devices=[event.iothub_metadata["connection-device-id"] for event in events],
        properties=events[0].metadata["PropertiesArray"],
        sequence_numbers=[event.sequence_number for event in events],
    )
    for body in bodies:
        obey(body["properties"]["desired"]["plain"])


@app.event_hub_message_trigger(arg_name="events", event_hub_name="retried", connection="EventHub", cardinality="many")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
def on_retried_events(events: typing.List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006
    bodies = [json.loads(event.get_body()) for event in events]
    changes = [body["properties"]["desired"]["retried"] for body in bodies]
    retry = context.retry_context.retry_count
    journal.write("on_retried_events", changes=changes, retry=retry)
    for change in changes:
        if retry < change.get("fail_times", 0):
            raise ValueError("asked to fail")


@app.blob_trigger(arg_name="client", path="incoming/{name}", connection="Storage", source="EventGrid")
def on_blob(client: blob.BlobClient) -> None:
    properties = client.get_blob_properties()
    journal.write("on_blob", name=client.blob_name, size_bytes=properties.size)
    obey(json.loads(properties.metadata.get("command", "{}")))
    journal.write("on_blob.done", name=client.blob_name)


@app.blob_trigger(arg_name="stream", path="streams/{name}.txt", connection="Storage", source="EventGrid")
def on_stream(stream: func.InputStream) -> None:
    journal.write("on_stream", name=stream.name, length=stream.length, content=stream.read().decode())


@app.timer_trigger(arg_name="timer", schedule="%TIMER_SCHEDULE%")
def on_timer(timer: func.TimerRequest) -> None:
    journal.write("on_timer", past_due=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def on_startup(timer: func.TimerRequest) -> None:
    journal.write("on_startup", past_due=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def on_disabled(timer: func.TimerRequest) -> None:
    journal.write("on_disabled")
