"""Who may attach to what, and what survives a restart."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from azure.core.credentials import AzureSasCredential
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus._base_handler import _generate_sas_token
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from emulator.bus import QueueConfig
from tests.support.bus import KEY_NAME, BusThread, open_doors, receive_one, running_bus, text_of


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(QueueConfig(name="Mixed-Case"), QueueConfig(name="other")) as running:
        yield running


def client_with_key(bus: BusThread, *, name: str, key: str) -> ServiceBusClient:
    text = (
        f"Endpoint=sb://127.0.0.1:{bus.server.port};SharedAccessKeyName={name};"
        f"SharedAccessKey={key};UseDevelopmentEmulator=true;"
    )
    return ServiceBusClient.from_connection_string(text, retry_total=0)


def test_a_wrong_key_is_refused(bus: BusThread) -> None:
    wrong = client_with_key(bus, name=KEY_NAME, key=secrets.token_urlsafe(32))
    with wrong, pytest.raises(ServiceBusAuthenticationError):
        wrong.get_queue_sender("other").send_messages(ServiceBusMessage("no"))

    assert bus.counts("other").active == 0


def test_an_unknown_key_name_is_refused(bus: BusThread) -> None:
    key = bus.server.connection_string.partition("SharedAccessKey=")[2].partition(";")[0]
    with client_with_key(bus, name="Nobody", key=key) as client, pytest.raises(ServiceBusAuthenticationError):
        client.get_queue_sender("other").send_messages(ServiceBusMessage("no"))


def test_a_token_for_one_queue_does_not_open_another(bus: BusThread) -> None:
    key = bus.server.connection_string.partition("SharedAccessKey=")[2].partition(";")[0]
    token = _generate_sas_token(f"sb://127.0.0.1:{bus.server.port}/Mixed-Case", KEY_NAME, key).token
    client = ServiceBusClient(f"127.0.0.1:{bus.server.port}", AzureSasCredential(token), retry_total=0, use_tls=False)
    with client:
        client.get_queue_sender("Mixed-Case").send_messages(ServiceBusMessage("allowed"))
        with pytest.raises(ServiceBusAuthorizationError):
            client.get_queue_sender("other").send_messages(ServiceBusMessage("not allowed"))
    with open_doors(bus) as doors:
        receiver = doors.receiver("mixed-CASE")
        receiver.complete_message(receive_one(receiver))


def test_a_queue_nobody_declared_is_not_found(bus: BusThread) -> None:
    with open_doors(bus) as doors:
        with pytest.raises(MessagingEntityNotFoundError):
            doors.sender("no-such-queue").send_messages(ServiceBusMessage("lost"))
        with pytest.raises(MessagingEntityNotFoundError):
            doors.receiver("no-such-queue").receive_messages(1, max_wait_time=1)


def test_nobody_sends_to_a_dead_letter_queue(bus: BusThread) -> None:
    with open_doors(bus) as doors, pytest.raises(ServiceBusError, match="dead-letter queue"):
        doors.sender("other/$DeadLetterQueue").send_messages(ServiceBusMessage("no"))


def test_clients_recover_when_the_bus_comes_back_on_its_port(bus: BusThread) -> None:
    with ServiceBusClient.from_connection_string(bus.server.connection_string, retry_backoff_factor=0.1) as client:
        sender, receiver = client.get_queue_sender("other"), client.get_queue_receiver("other")
        sender.send_messages(ServiceBusMessage("before"))
        receiver.complete_message(receive_one(receiver))

        bus.stop()
        bus.start()

        sender.send_messages(ServiceBusMessage("after"))
        message = receive_one(receiver, wait_s=10)
        assert text_of(message) == "after"
        receiver.complete_message(message)
        sender.close()
        receiver.close()
