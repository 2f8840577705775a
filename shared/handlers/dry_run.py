"""Dry runs: plan a draft of the campaign as a real one is planned, and hold nothing.

A list of ids is planned while the caller waits. A query is an operation that goes on step by step, woken by messages
of ``operation-steps``: read the row, take the step, write the row under the etag it was read with.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.errors import NotFound
from shared.domain.ids import CampaignId, OperationId
from shared.domain.listings import listings
from shared.domain.operations import KEPT_DAYS, Operation, OperationState, follow
from shared.domain.planning import PlanningPhase
from shared.domain.schedules import check_schedule
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.create_campaign import new_campaign
from shared.handlers.find_packages import find_packages
from shared.handlers.find_targets import find_targets
from shared.handlers.look_at_devices import look_at_batches
from shared.handlers.operation_wakeups import request_operation_step
from shared.handlers.plan_campaign import list_page, order_targets
from shared.handlers.post_targets import keep_posted
from shared.handlers.resume_campaigns import OVERDUE_AFTER_S
from shared.handlers.scratch_manifests import ScratchManifests
from shared.handlers.unreadable_rows import readable
from shared.ports.bus import MessageSender, Queue
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.operations import OperationStore
from shared.ports.stored import Stored
from shared.wire.campaign_room import check_room_of_draft
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_fields import InvalidRequest
from shared.wire.messages import OperationStep

AT_ONCE_DEVICES = 10_000
"""Their rows are a hundred table reads: seconds. More than that is an operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunPorts:
    """What dry runs need from outside."""

    campaigns: CampaignPorts
    operations: OperationStore


def start_dry_run(
    request: CampaignRequest,
    ports: DryRunPorts,
    *,
    idempotency_key: str | None,
    requested_by: str,
    shards: int,
    now: datetime,
) -> Operation:
    """The dry run, done already where the ids were posted, and otherwise kept with its first step taken.

    Raises:
        NotFound: The package is unknown, not published yet, or withdrawn; or there is no such group or list.
        InvalidRequest: The hub refuses a query, or nobody is left to roll out to; or its packages cannot be variants.
    """
    if request.schedule is not None:
        windows = [window.to_window() for window in request.windows]
        check_schedule(request.schedule.to_schedule(), windows, now=now)
    packages = find_packages(request, ports.campaigns.packages)
    identity = _operation_id(idempotency_key, request)
    wanted = find_targets(request, ports.campaigns.groups, ports.campaigns.lists)
    draft = new_campaign(CampaignId(identity), wanted, packages, requested_by, shards, now)
    fresh = Operation(id=identity, draft=draft, step_due_at=now, created_at=now, changed_at=now)
    if is_answered_at_once(draft):
        return _refuse_failed(_run_through(fresh, wanted, ports.campaigns, now=now))
    return _keep(fresh, wanted, ports, now=now)


def is_answered_at_once(draft: Campaign) -> bool:
    """Whether a dry run of it takes seconds: its ids are all known, and few enough."""
    known = listings(draft.spec)
    return not any(listing.query for listing in known) and sum(listing.count for listing in known) <= AT_ONCE_DEVICES


def advance_operation(message: OperationStep, ports: DryRunPorts, *, now: datetime) -> None:
    """Take the step the message stands for; a message for a step already taken does nothing.

    Raises:
        NotFound: No such operation.
        ConcurrentChange: Somebody else took the step meanwhile.
    """
    stored = get_stored_operation(ports.operations, message.operation)
    operation = stored.value
    if operation.is_done:
        return
    if message.step < operation.step:
        # The repeat of the step just taken may mean that its taker died before it asked for the next one.
        if message.step == operation.step - 1:
            _ask_for_step(operation, ports.campaigns.sender, now=now)
        return
    after = _take_step(operation, ports.campaigns, now=now)
    ports.operations.save(Stored(value=after, etag=stored.etag))
    if not after.is_done:
        _ask_for_step(after, ports.campaigns.sender, now=now)


def resume_operations(operations: OperationStore, sender: MessageSender, *, now: datetime) -> int:
    """Send the messages of overdue steps again; how many there were."""
    overdue_since = now - timedelta(seconds=OVERDUE_AFTER_S)
    messages = [
        request_operation_step(operation.id, operation.step, again_at=now)
        for operation in readable(operations.list_unfinished())
        if operation.step_due_at <= overdue_since
    ]
    if messages:
        sender.send(Queue.OPERATION_STEPS, messages)
    return len(messages)


def get_stored_operation(operations: OperationStore, operation: OperationId) -> Stored[Operation]:
    """The operation's row.

    Raises:
        NotFound: No such operation.
    """
    try:
        return operations.get(operation)
    except NotThere as error:
        raise NotFound(
            f"there is no operation {operation[:80]!r}; operations are forgotten {KEPT_DAYS} days after their last "
            "step: ask for the dry run again",
            code="operation_not_found",
        ) from error


def _keep(fresh: Operation, request: CampaignRequest, ports: DryRunPorts, *, now: datetime) -> Operation:
    """The operation with its first step taken, so that a query nobody can list is refused at once."""
    try:
        return ports.operations.get(fresh.id).value
    except NotThere:
        pass
    check_room_of_draft(fresh.draft)
    keep_posted(ports.campaigns.manifests, fresh.draft, request)
    first = _refuse_failed(_take_step(fresh, ports.campaigns, now=now))
    try:
        ports.operations.create(first)
    except AlreadyExists:
        return ports.operations.get(fresh.id).value
    _ask_for_step(first, ports.campaigns.sender, now=now)
    return first


def _run_through(fresh: Operation, request: CampaignRequest, ports: CampaignPorts, *, now: datetime) -> Operation:
    scratch = replace(ports, manifests=ScratchManifests())
    keep_posted(scratch.manifests, fresh.draft, request)
    operation = fresh
    while not operation.is_done:
        operation = _take_step(operation, scratch, now=now)
    return operation


def _take_step(operation: Operation, ports: CampaignPorts, *, now: datetime) -> Operation:
    draft, findings = operation.draft, operation.findings
    match draft.planning.phase:
        case PlanningPhase.LISTING:
            change = list_page(draft, ports, now=now)
        case PlanningPhase.ORDERING:
            change = order_targets(draft, ports, now=now)
        case _:
            change, findings = look_at_batches(operation, ports, now=now)
    return follow(operation, change, findings, now=now)


def _refuse_failed(operation: Operation) -> Operation:
    if operation.state is OperationState.FAILED:
        raise InvalidRequest(f"targets: {operation.reason}")
    return operation


def _ask_for_step(operation: Operation, sender: MessageSender, *, now: datetime) -> None:
    later = operation.step_due_at if operation.step_due_at > now else None
    sender.send(Queue.OPERATION_STEPS, [request_operation_step(operation.id, operation.step, enqueue_at=later)])


def _operation_id(idempotency_key: str | None, request: CampaignRequest) -> OperationId:
    """The same request under the same key is the same dry run; another request is another."""
    if idempotency_key is None:
        return OperationId(f"o{secrets.token_hex(10)}")
    return OperationId(f"o{hashlib.sha256(f'{request.sha256}:{idempotency_key}'.encode()).hexdigest()[:20]}")
