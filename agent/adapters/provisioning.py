"""A Device Provisioning Service over MQTT.

Not through ``azure-iot-device``: its provisioning client cannot be closed after a refusal, asks a throttled service
again every two seconds and for ever, and keeps the service's own words to itself.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as mqtt

from agent.enrolment import protocol
from agent.enrolment.protocol import Answer, Assigning
from agent.ports import Assignment, ChannelDown, RegistrationPutOff, RegistrationRefused

MQTTS_PORT = 8883
_KEEP_ALIVE_S = 30
_TOKEN_LIFE_S = 3600
_TICK_S = 1.0
_REFUSED = (mqtt.CONNACK_REFUSED_BAD_USERNAME_PASSWORD, mqtt.CONNACK_REFUSED_NOT_AUTHORIZED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Where and as whom to register.

    Attributes:
        host: With ``:port`` where that is not 8883.
        key: The device's symmetric key in base64; None where it has a certificate.
        certificate: Certificate and key, PEM files.
        ca_file: Authorities to trust instead of the system's.
        payload: What custom allocation is told.
        timeout_s: How long all of it may take.
    """

    host: str
    id_scope: str
    registration: str
    key: str | None = field(default=None, repr=False)
    certificate: tuple[Path, Path] | None = None
    ca_file: Path | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 60.0


class DpsRegistrar:
    """Implements ``agent.ports.Registrar``, with a connection for each registration."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment

    def register(self) -> Assignment:
        """Register the device and wait for its assignment.

        Raises:
            ChannelDown: The service cannot be reached, or did not get done in time.
            RegistrationRefused: It does not take the device.
            RegistrationPutOff: It asked to wait.
        """
        body = protocol.write_registration(self._enrolment.registration, self._enrolment.payload)
        with _Conversation(self._enrolment) as conversation:
            outcome = protocol.read_outcome(conversation.ask(protocol.register_topic, body))
            while isinstance(outcome, Assigning):
                conversation.rest(outcome.wait_s)
                outcome = protocol.read_outcome(conversation.ask(_status_of(outcome.operation), b" "))
        return outcome


class _Conversation:
    """One connection, driven on the caller's thread, with an end to its patience."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment
        self._ends_at_s = time.monotonic() + enrolment.timeout_s
        self._connected: int | None = None
        self._is_subscribed = False
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        """Connect and subscribe. Raises as ``DpsRegistrar.register``."""
        try:
            self._client = self._make_client()
            host, _, port = self._enrolment.host.partition(":")
            self._client.connect(host, int(port or MQTTS_PORT), _KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            raise ChannelDown(f"the provisioning service cannot be reached: {error}") from error
        try:
            self._be_let_in()
            self._client.subscribe(protocol.ANSWERS, 1)
            self._drive_until(lambda: self._is_subscribed)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ask(self, topic_of: Callable[[str], str], body: bytes) -> Answer:
        """The answer to a request."""
        request = uuid4().hex
        self._client.publish(topic_of(request), body, qos=1)
        self._drive_until(lambda: request in self._answers)
        return self._answers.pop(request)

    def rest(self, seconds: float) -> None:
        """Wait that long, and keep the connection."""
        end_s = time.monotonic() + seconds
        self._drive_until(lambda: time.monotonic() >= end_s)

    def _be_let_in(self) -> None:
        self._drive_until(lambda: self._connected is not None)
        if self._connected in _REFUSED:
            raise RegistrationRefused(f"the provisioning service refused the connection ({self._connected})")
        if self._connected == mqtt.CONNACK_REFUSED_SERVER_UNAVAILABLE:
            raise RegistrationPutOff("the provisioning service takes no connections now")
        if self._connected != mqtt.CONNACK_ACCEPTED:
            raise ChannelDown(f"the provisioning service refused the connection ({self._connected})")

    def _make_client(self) -> Any:
        enrolment = self._enrolment
        client = mqtt.Client(client_id=enrolment.registration, clean_session=True)
        client.tls_set_context(_tls(enrolment))
        client.username_pw_set(protocol.user_name(enrolment.id_scope, enrolment.registration), _password(enrolment))
        client.on_connect = lambda _client, _data, _flags, code: setattr(self, "_connected", code)
        client.on_subscribe = lambda *_: setattr(self, "_is_subscribed", True)
        client.on_message = lambda _client, _data, message: self._hear(message)
        return client

    def _hear(self, message: Any) -> None:
        answer = protocol.read_answer(message.topic, message.payload)
        self._answers[answer.request] = answer

    def _drive_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            left_s = self._ends_at_s - time.monotonic()
            if left_s <= 0:
                raise ChannelDown(f"no assignment within {self._enrolment.timeout_s:g} s")
            status = self._client.loop(timeout=min(left_s, _TICK_S))
            # A refused connection ends at once; why it was refused is known by then.
            if status != mqtt.MQTT_ERR_SUCCESS and not is_done():
                raise ChannelDown(f"the connection to the provisioning service was lost ({status})")

    def _close(self) -> None:
        sock = self._client.socket()
        self._client.disconnect()
        if sock is not None:
            self._client.loop_write()
            sock.close()


def _status_of(operation: str) -> Callable[[str], str]:
    return lambda request: protocol.status_topic(request, operation)


def _tls(enrolment: Enrolment) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if enrolment.ca_file is None else str(enrolment.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if enrolment.certificate is not None:
        certificate, key = enrolment.certificate
        context.load_cert_chain(certificate, key)
    return context


def _password(enrolment: Enrolment) -> str | None:
    if enrolment.key is None:
        return None
    expires_s = int(time.time()) + _TOKEN_LIFE_S
    return protocol.password(enrolment.id_scope, enrolment.registration, enrolment.key, expires_s=expires_s)
