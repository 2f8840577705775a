"""Dead letters are listed and sent again, through the real Service Bus SDK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from emulator.bus import NamespaceConfig
from shared.adapters.azure_bus import AzureBus
from shared.adapters.azure_dead_letters import AzureDeadLetters
from shared.handlers.replay import replay
from shared.ports.bus import OutgoingMessage, Queue
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of
from tests.support.mortal import Died

CONFIG = Path(__file__).parents[2] / "infra/local/servicebus.json"
PLAIN, SESSIONED = Queue.DEVICE_BATCHES, Queue.CAMPAIGN_STEPS


@pytest.fixture
def bus() -> Iterator[BusThread]:
    with running_bus(*NamespaceConfig.from_file(CONFIG).queues) as bus:
        yield bus


@pytest.fixture
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as doors:
        yield doors


@pytest.fixture
def client(bus: BusThread) -> Iterator[ServiceBusClient]:
    with ServiceBusClient.from_connection_string(bus.server.connection_string, retry_total=0) as client:
        yield client


@pytest.fixture
def sender(client: ServiceBusClient) -> Iterator[AzureBus]:
    sender = AzureBus(client)
    yield sender
    sender.close()


def bury(doors: Doors, queue: Queue, *ids: str, session: str | None = None) -> None:
    """Messages that their queue gave up, each with its id as its body."""
    for identity in ids:
        sent = ServiceBusMessage(identity.encode(), message_id=identity, session_id=session)
        doors.sender(queue).send_messages(sent)
        receiver = doors.session(queue, session) if session else doors.receiver(queue)
        receiver.dead_letter_message(receive_one(receiver), reason="TooOften", error_description="ten times")
        if session:
            receiver.close()


def test_dead_letters_of_all_queues_are_listed_and_stay(doors: Doors, client: ServiceBusClient, bus: BusThread) -> None:
    bury(doors, PLAIN, *(f"m{number:03d}" for number in range(60)))
    bury(doors, SESSIONED, "step", session="spring")
    letters = AzureDeadLetters(client)
    for _ in range(2):
        found = list(letters.list())
        assert [letter.queue for letter in found].count(PLAIN) == 60
        [step] = [letter for letter in found if letter.queue is SESSIONED]
        assert (step.session_id, step.code, step.reason) == ("spring", "TooOften", "ten times")
        assert step.id == f"dead/campaign-steps/{step.receipt}"
    assert bus.counts(PLAIN).dead_letter == 60


def test_a_letter_goes_back_to_its_queue_with_its_session_though_the_queue_knows_its_id(
    doors: Doors, client: ServiceBusClient, sender: AzureBus, bus: BusThread
) -> None:
    """Under its own id it would be dropped as a repeat, and lost when the letter is removed."""
    bury(doors, SESSIONED, "step", session="spring")
    letters = AzureDeadLetters(client)
    assert replay(list(letters.list()), letters, sender) == 1
    found = receive_one(doors.session(SESSIONED, "spring"))
    assert (text_of(found), found.session_id) == ("step", "spring")
    assert bus.counts(SESSIONED).dead_letter == 0


def test_only_the_chosen_letters_are_sent_and_the_others_can_be_had_at_once(
    doors: Doors, client: ServiceBusClient, sender: AzureBus, bus: BusThread
) -> None:
    bury(doors, PLAIN, "one", "two", "three")
    letters = AzureDeadLetters(client)
    _, second, third = letters.list()
    assert replay([second], letters, sender) == 1
    assert text_of(receive_one(doors.receiver(PLAIN))) == "two"
    assert replay([third], letters, sender) == 1
    assert bus.counts(PLAIN).dead_letter == 1
    assert replay([second, third], letters, sender) == 0


def test_a_death_between_sending_and_removing_sends_it_once(
    doors: Doors, client: ServiceBusClient, sender: AzureBus, bus: BusThread
) -> None:
    bury(doors, PLAIN, "once")
    letters = AzureDeadLetters(client)
    [letter] = letters.list()
    with pytest.raises(Died):
        replay([letter], letters, _DiesAfterwards(sender))
    assert (bus.counts(PLAIN).active, bus.counts(PLAIN).dead_letter) == (1, 1)
    assert replay([letter], letters, sender) == 1
    assert (bus.counts(PLAIN).active, bus.counts(PLAIN).dead_letter) == (1, 0)


class _DiesAfterwards:
    """A sender whose process dies once the message is sent."""

    def __init__(self, sender: AzureBus) -> None:
        self._sender = sender

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        self._sender.send(queue, messages)
        raise Died
