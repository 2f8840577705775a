"""The triggers. Each hands its event to a handler; ``shared.edge`` decides what becomes of an error."""

from __future__ import annotations

from typing import List  # noqa: UP035  (the worker refuses list[...] in the signature of a batch trigger)

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from shared.edge import campaigns, dry_runs, groups, health, logs, openapi, packages, repository, stops
from shared.edge.answers import answer
from shared.edge.callers import host_auth_level
from shared.edge.events import event_data, read_hub_events
from shared.edge.queues import take, take_each
from shared.edge.traced_app import TracedApp
from shared.ports.bus import Queue
from shared.wire.messages import (
    read_batch_visit,
    read_batch_work,
    read_campaign_step,
    read_index_request,
    read_operation_step,
)
from shared.wiring import Service, service

app = TracedApp(http_auth_level=host_auth_level())


@app.blob_trigger(arg_name="artifact", path="incoming/{name}", connection="Storage", source=func.BlobSource.EVENT_GRID)
def on_artifact_uploaded(artifact: blob.BlobClient) -> None:
    """An artifact was dropped: make it a package, or refuse it with a reason."""
    service().ingest(artifact.blob_name)


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="index-requests",
    connection="ServiceBus",
    cardinality="many",
    is_sessions_enabled=True,
)
def on_index_requested(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    """Packages were accepted: publish them in one new state of the index."""
    take(Queue.INDEX_REQUESTS, messages, read=read_index_request, handle=Service.publish)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="campaign-steps", connection="ServiceBus", is_sessions_enabled=True
)
def on_campaign_step(message: func.ServiceBusMessage) -> None:
    """A campaign asks for its next step."""
    take_each(Queue.CAMPAIGN_STEPS, [message], read=read_campaign_step, handle=Service.advance)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="operation-steps", connection="ServiceBus", is_sessions_enabled=True
)
def on_operation_step(message: func.ServiceBusMessage) -> None:
    """A dry run asks for its next step."""
    take_each(Queue.OPERATION_STEPS, [message], read=read_operation_step, handle=Service.advance_operation)


@app.service_bus_queue_trigger(arg_name="message", queue_name="device-batches", connection="ServiceBus")
def on_device_batch(message: func.ServiceBusMessage) -> None:
    """A device batch has its time slot: write its twins."""
    take_each(Queue.DEVICE_BATCHES, [message], read=read_batch_work, handle=Service.dispatch)


@app.service_bus_queue_trigger(arg_name="message", queue_name="batch-deadlines", connection="ServiceBus")
def on_batch_deadline(message: func.ServiceBusMessage) -> None:
    """A device batch is to be looked at: time out what is due, settle what has ended."""
    take_each(Queue.BATCH_DEADLINES, [message], read=read_batch_visit, handle=Service.visit)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="report-backlog", connection="ServiceBus", is_sessions_enabled=True
)
def on_report_backlog(message: func.ServiceBusMessage) -> None:
    """Reports met too many others at one row: fold them now."""
    take_each(Queue.REPORT_BACKLOG, [message], read=bytes, handle=Service.fold_backlog)


# The pointer moves on whatever the function did, so the relay itself must not give up (DESIGN: why the relay).
@app.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:05:00"
)
@app.event_hub_message_trigger(
    arg_name="events", event_hub_name="%TWIN_CHANGES_HUB%", connection="EventHub", cardinality=func.Cardinality.MANY
)
def relay_twin_changes(events: List[func.EventHubEvent]) -> None:  # noqa: UP006
    """Twins changed: carry the reports over to Event Grid, grouped by table partition."""
    service().relay(read_hub_events(events))


@app.event_grid_trigger(arg_name="event")
def on_rollout_reported(event: func.CloudEvent) -> None:
    """Devices of one table partition reported: fold it into rows and counters."""
    service().fold(event_data(event))


@app.event_grid_trigger(arg_name="event")
def on_device_lifecycle(event: func.EventGridEvent) -> None:
    """A device was created or deleted."""
    service().note_lifecycle(event.event_type, event.get_json())


@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
def every_minute_resume(timer: func.TimerRequest) -> None:
    """Take up the steps and index requests that a lost message left undone."""
    service().resume()


@app.timer_trigger(arg_name="timer", schedule="0 10 * * * *")
def every_hour_reconcile(timer: func.TimerRequest) -> None:
    """Take up artifacts nobody looked at, and rows whose reports never came."""
    service().reconcile()


@app.timer_trigger(arg_name="timer", schedule="0 30 2 * * *")
def every_day_refresh_index(timer: func.TimerRequest) -> None:
    """Sign the index anew before it expires."""
    service().refresh_index()


@app.timer_trigger(arg_name="timer", schedule="0 40 3 * * *")
def every_day_archive_campaigns(timer: func.TimerRequest) -> None:
    """Move the rows of campaigns that ended long ago into blobs."""
    service().archive_campaigns()


@app.timer_trigger(arg_name="timer", schedule="0 50 3 * * *")
def every_day_forget_operations(timer: func.TimerRequest) -> None:
    """Delete dry runs that nobody will look at any more."""
    service().forget_operations()


@app.route("campaigns", methods=["POST"])
def post_campaign(req: func.HttpRequest) -> func.HttpResponse:
    """Start a campaign, or say what it would do."""
    return answer(lambda: dry_runs.post(req, service()))


@app.route("operations/{id}", methods=["GET"])
def get_operation(req: func.HttpRequest) -> func.HttpResponse:
    """Show a dry run that goes on by itself."""
    return answer(lambda: dry_runs.show_operation(req, service()))


@app.route("campaigns", methods=["GET"])
def get_campaigns(req: func.HttpRequest) -> func.HttpResponse:
    """List campaigns."""
    return answer(lambda: campaigns.show_page(req, service()))


@app.route("campaigns/{id}", methods=["GET"])
def get_campaign(req: func.HttpRequest) -> func.HttpResponse:
    """Show a campaign with its waves and counters."""
    return answer(lambda: campaigns.show(req, service()))


@app.route("campaigns/{id}/audit", methods=["GET"])
def get_campaign_audit(req: func.HttpRequest) -> func.HttpResponse:
    """Show what was asked of a campaign and decided about it."""
    return answer(lambda: campaigns.show_audit(req, service()))


@app.route("campaigns/{id}/waves", methods=["PATCH"])
def patch_campaign_waves(req: func.HttpRequest) -> func.HttpResponse:
    """Edit the waves of a paused campaign that have not begun."""
    return answer(lambda: campaigns.edit_waves(req, service()))


@app.route("campaigns/{id}/membership", methods=["PUT"])
def put_campaign_membership(req: func.HttpRequest) -> func.HttpResponse:
    """Let nobody join a dynamic campaign any more, so that it can complete."""
    return answer(lambda: campaigns.close_membership(req, service()))


@app.route("campaigns/{id}/{action}", methods=["POST"])
def post_campaign_action(req: func.HttpRequest) -> func.HttpResponse:
    """Approve, start, pause, resume or cancel a campaign."""
    return answer(lambda: campaigns.act(req, service()))


@app.route("stop", methods=["POST"])
def post_stop(req: func.HttpRequest) -> func.HttpResponse:
    """Stop the whole fleet: no offer leaves, no package is handed out."""
    return answer(lambda: stops.post(req, service()))


@app.route("stop", methods=["DELETE"])
def delete_stop(req: func.HttpRequest) -> func.HttpResponse:
    """Let the fleet go on."""
    return answer(lambda: stops.release(req, service()))


@app.route("stop", methods=["GET"])
def get_stop(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the fleet is stopped, by whom and why."""
    return answer(lambda: stops.show(req, service()))


@app.route("groups", methods=["GET"])
def get_groups(req: func.HttpRequest) -> func.HttpResponse:
    """List saved groups."""
    return answer(lambda: groups.show_page(req, service()))


@app.route("groups/{name}", methods=["PUT"])
def put_group(req: func.HttpRequest) -> func.HttpResponse:
    """Save a group: a name for a query or a list of devices."""
    return answer(lambda: groups.put(req, service()))


@app.route("groups/{name}", methods=["GET"])
def get_group(req: func.HttpRequest) -> func.HttpResponse:
    """Show a group."""
    return answer(lambda: groups.show(req, service()))


@app.route("groups/{name}", methods=["DELETE"])
def delete_group(req: func.HttpRequest) -> func.HttpResponse:
    """Delete a group; campaigns keep what it meant when they were posted."""
    return answer(lambda: groups.delete(req, service()))


@app.route("packages", methods=["GET"])
def get_packages(req: func.HttpRequest) -> func.HttpResponse:
    """List packages."""
    return answer(lambda: packages.show_page(req, service()))


@app.route("packages/{name}/{version}", methods=["GET"])
def get_package(req: func.HttpRequest) -> func.HttpResponse:
    """Show a package."""
    return answer(lambda: packages.show(req, service()))


@app.route("packages/{name}/{version}/withdraw", methods=["POST"])
def post_package_withdrawal(req: func.HttpRequest) -> func.HttpResponse:
    """Take a package out of the index; its campaigns pause."""
    return answer(lambda: packages.withdraw(req, service()))


@app.route("repository/metadata/{name}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_repository(req: func.HttpRequest) -> func.HttpResponse:
    """Serve the index's metadata to any TUF client."""
    return answer(lambda: repository.show_metadata(req, service()))


@app.route("downloads/{*path}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_download(req: func.HttpRequest) -> func.HttpResponse:
    """Exchange a device's ticket for a short-lived URL of its package."""
    return answer(lambda: repository.show_download(req, service()))


@app.route("logs", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
def put_log(req: func.HttpRequest) -> func.HttpResponse:
    """Keep the log of a device whose rollout failed."""
    return answer(lambda: logs.take(req, service()))


@app.route("campaigns/{id}/devices/{device}/log", methods=["GET"])
def get_device_log(req: func.HttpRequest) -> func.HttpResponse:
    """Show the log that a device sent after its rollout failed."""
    return answer(lambda: logs.show(req, service()))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the settings are complete and the services behind answer."""
    return health.show(service)


@app.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe the HTTP API as an OpenAPI 3.1 document."""
    return answer(openapi.show)
