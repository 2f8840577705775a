"""``groundswell replay``: look at messages that were set aside, and send them again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from azure.identity import DefaultAzureCredential
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient

from cli.keys.files import guarded
from shared.adapters.azure_bus import AzureBus
from shared.adapters.azure_dead_letters import AzureDeadLetters
from shared.adapters.azure_parking import AzureParking
from shared.domain.errors import DomainError
from shared.handlers.replay import replay
from shared.ports.bus import Queue
from shared.ports.replay import SetAside, SetAsideMessages

REASON_CHARACTERS = 100


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``replay``."""
    parser = commands.add_parser("replay", help="list messages that were parked or dead-lettered, and send them again")
    parser.add_argument("ids", nargs="*", metavar="ID", help="what to send again; without any, all are listed")
    parser.add_argument("--all", action="store_true", help="send all again that a queue takes")
    parser.add_argument("--queue", type=Queue, choices=list(Queue), help="only those of this queue")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")
    storage, bus = (os.environ.get(name, "") for name in ("Storage", "ServiceBus"))
    parser.add_argument("--storage", default=storage, help="connection string, or https://<account>.blob.…; $Storage")
    parser.add_argument("--bus", default=bus, help="connection string, or <namespace>.servicebus.…; $ServiceBus")
    parser.set_defaults(run=guarded(_run))


def _run(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        bus = stack.enter_context(_bus(arguments.bus))
        blobs = stack.enter_context(_blobs(arguments.storage))
        places: list[SetAsideMessages] = [AzureParking(blobs.get_container_client("parked")), AzureDeadLetters(bus)]
        found = [(place, _listed(place, arguments.queue)) for place in places]
        if not arguments.ids and not arguments.all:
            _print_all(message for _, messages in found for message in messages)
            return 0
        if unknown := _unknown(arguments.ids, [message for _, messages in found for message in messages]):
            raise DomainError(f"not set aside (any more): {', '.join(unknown)}; nothing was sent")
        sender = AzureBus(bus)
        stack.callback(sender.close)
        for place, messages in found:
            _replay([each for each in messages if _is_chosen(each, arguments)], place, sender, arguments.dry_run)
    return 0


def _listed(place: SetAsideMessages, queue: Queue | None) -> list[SetAside]:
    return [message for message in place.list() if queue is None or message.queue is queue]


def _unknown(ids: Sequence[str], found: Sequence[SetAside]) -> list[str]:
    return sorted(set(ids) - {message.id for message in found if message.queue is not None})


def _is_chosen(message: SetAside, arguments: argparse.Namespace) -> bool:
    return message.queue is not None and (arguments.all or message.id in arguments.ids)


def _replay(chosen: Sequence[SetAside], place: SetAsideMessages, sender: AzureBus, dry_run: bool) -> None:
    for message in chosen:
        print(f"{'would go' if dry_run else 'goes'} to {message.queue}: {message.id}")
    if not dry_run and chosen:
        done = replay(chosen, place, sender)
        print(f"{done} of {len(chosen)} were sent again" + (", the others were gone" if done < len(chosen) else ""))


def _print_all(messages: Iterator[SetAside]) -> None:
    is_any = False
    for message in messages:
        is_any = True
        where = message.queue or "no queue takes it"
        reason = " ".join(message.reason.split())[:REASON_CHARACTERS]
        print(f"{message.id}  {where}  {message.since.isoformat(timespec='seconds')}  {message.code}  {reason}")
    if not is_any:
        print("nothing is set aside: no such message is parked or dead-lettered")


def _bus(where: str) -> ServiceBusClient:
    if not where:
        raise DomainError("say where the queues are: --bus, or set ServiceBus")
    if "=" in where:
        return ServiceBusClient.from_connection_string(where)
    return ServiceBusClient(where, DefaultAzureCredential())


def _blobs(where: str) -> BlobServiceClient:
    if not where:
        raise DomainError("say where the parked messages are: --storage, or set Storage")
    if where.startswith("https://"):
        return BlobServiceClient(where, DefaultAzureCredential())
    return BlobServiceClient.from_connection_string(where)
