"""Asking for packages to be published, and asking again where an answer is overdue."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain.packages import Package
from shared.ports.bus import MessageSender, OutgoingMessage, Queue
from shared.ports.packages import PackageStore
from shared.wire.messages import IndexRequest, write_message

SESSION = "index"
"""One session for all requests, so that one publisher takes them at a time."""

OVERDUE = timedelta(minutes=2)


def send_index_request(package: Package, sender: MessageSender) -> None:
    """Ask for a package to be published; repeats within the duplicate-detection window are dropped.

    Raises:
        PortError: It may not have been sent.
    """
    sender.send(Queue.INDEX_REQUESTS, [_request(package, _message_id(package))])


def resume_publishing(packages: PackageStore, sender: MessageSender, *, now: datetime) -> int:
    """Ask again for every package accepted more than two minutes ago and not published; how many there were.

    The ids carry the minute: a request that was lost after it was sent must not be dropped as a repeat of it.

    Raises:
        PortError: Some were not asked for; the next run does.
    """
    overdue = [row.package for row in packages.list_unpublished() if now - row.accepted_at > OVERDUE]
    if overdue:
        sender.send(Queue.INDEX_REQUESTS, list(_again(overdue, now)))
    return len(overdue)


def _again(packages: Iterable[Package], now: datetime) -> Iterable[OutgoingMessage]:
    return (_request(package, f"{_message_id(package)}-{now:%Y%m%d%H%M}") for package in packages)


def _request(package: Package, message_id: str) -> OutgoingMessage:
    request = IndexRequest(name=package.name, version=package.version.text)
    return OutgoingMessage(body=write_message(request), message_id=message_id, session_id=SESSION)


def _message_id(package: Package) -> str:
    """Of fixed length, because Service Bus takes 128 characters and name and version alone may have more."""
    identity = "\0".join([package.name, package.version.text, package.sha256])
    return f"index-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"
