"""Asking for packages to be published or withdrawn, and asking again where an answer is overdue."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain.packages import RegisteredPackage
from shared.handlers.unreadable_rows import readable
from shared.ports.bus import MessageSender, OutgoingMessage, Queue
from shared.ports.packages import PackageStore
from shared.wire.messages import IndexRequest, write_message

SESSION = "index"
"""One session for all requests, so that one publisher takes them at a time."""

OVERDUE = timedelta(minutes=2)


def send_index_request(row: RegisteredPackage, sender: MessageSender) -> None:
    """Ask for the index to say what a package's row says; repeats within the duplicate-detection window are dropped.

    Raises:
        PortError: It may not have been sent.
    """
    sender.send(Queue.INDEX_REQUESTS, [_request(row, _message_id(row))])


def resume_publishing(packages: PackageStore, sender: MessageSender, *, now: datetime) -> int:
    """Ask again for every package whose row has waited for the index for more than two minutes; how many there were.

    The ids carry the minute: a request that was lost after it was sent must not be dropped as a repeat of it.

    Raises:
        PortError: Some were not asked for; the next run does.
    """
    overdue = [row for row in readable(packages.list_unsettled()) if now - row.asked_at > OVERDUE]
    if overdue:
        sender.send(Queue.INDEX_REQUESTS, list(_again(overdue, now)))
    return len(overdue)


def _again(rows: Iterable[RegisteredPackage], now: datetime) -> Iterable[OutgoingMessage]:
    return (_request(row, f"{_message_id(row)}-{now:%Y%m%d%H%M}") for row in rows)


def _request(row: RegisteredPackage, message_id: str) -> OutgoingMessage:
    request = IndexRequest(name=row.package.name, version=row.package.version.text)
    return OutgoingMessage(body=write_message(request), message_id=message_id, session_id=SESSION)


def _message_id(row: RegisteredPackage) -> str:
    """Of fixed length, because Service Bus takes 128 characters and name and version alone may have more."""
    package = row.package
    identity = "\0".join([package.name, package.version.text, package.sha256, row.state])
    return f"index-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"
