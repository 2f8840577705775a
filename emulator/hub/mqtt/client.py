"""One connected device: what it may publish, and what the hub sends it."""

import json
from collections.abc import Callable

from emulator.hub.commands import Command
from emulator.hub.device_api import DeviceApi
from emulator.hub.devices import Device
from emulator.hub.documents import Json
from emulator.hub.errors import HubError, write_coded_error
from emulator.hub.limits import TwinTooLarge
from emulator.hub.mqtt import answers, topics
from emulator.hub.mqtt.packets import SUBSCRIPTION_REFUSED, Publish, Subscribe

_PACKET_IDS = 65_535


class MqttClient:
    """A device behind an accepted CONNECT; the hub's :class:`DeviceLink`.

    Args:
        subscriptions: topic filters that the device has; the set outlives the connection where the session does.
        send: writes bytes to the device.
        end: closes the connection, for a reason.
    """

    __slots__ = ("_allowed", "_api", "_end", "_in_flight", "_next_packet_id", "_send", "_subscriptions", "device")

    def __init__(
        self,
        device: Device,
        api: DeviceApi,
        *,
        subscriptions: set[str],
        send: Callable[[bytes], None],
        end: Callable[[str], None],
    ) -> None:
        self.device = device
        self._api = api
        self._subscriptions = subscriptions
        self._allowed = topics.allowed_filters(device.device_id)
        self._send = send
        self._end = end
        self._in_flight: dict[int, str] = {}
        self._next_packet_id = 0

    def resume(self) -> None:
        """Go on with what a session of the past has subscribed to."""
        for topic_filter in self._subscriptions:
            self._start(topic_filter, again=True)

    def on_publish(self, publish: Publish) -> None:
        """Take a PUBLISH; one that the device may not send ends the connection."""
        try:
            request = topics.read_topic(publish.topic, self.device.device_id)
        except topics.UnknownTopic:
            self._end("published to a topic that is not its own")
            return
        if isinstance(request, topics.Telemetry):
            self._take_telemetry(request, publish)
            return
        self._acknowledge(publish)
        match request:
            case topics.TwinGet():
                self._answer_twin_get(request)
            case topics.ReportedPatch():
                self._answer_patch(request, publish.payload)
            case topics.MethodResult():
                self._api.answer_method(self.device, request.request_id, request.status, publish.payload)

    def on_puback(self, packet_id: int) -> None:
        message_id = self._in_flight.pop(packet_id, None)
        if message_id is not None:
            self._api.acknowledge(self.device, message_id)

    def on_subscribe(self, subscribe: Subscribe) -> None:
        """Grant the device's own topics, with QoS 1 at most."""
        granted = [
            min(qos, 1) if topic_filter in self._allowed else SUBSCRIPTION_REFUSED
            for topic_filter, qos in subscribe.filters
        ]
        self._send(answers.suback(subscribe.packet_id, granted))
        for topic_filter, _ in subscribe.filters:
            if topic_filter in self._allowed:
                self._subscriptions.add(topic_filter)
                self._start(topic_filter, again=False)

    def on_unsubscribe(self, unsubscribe: Subscribe) -> None:
        self._subscriptions.difference_update(topic_filter for topic_filter, _ in unsubscribe.filters)
        self._send(answers.unsuback(unsubscribe.packet_id))

    def notify_desired(self, patch: Json) -> None:
        if topics.DESIRED_CHANGES in self._subscriptions:
            self._send(answers.publish(topics.desired_change(patch["$version"]), _write(patch)))

    def call_method(self, request_id: str, name: str, payload: bytes) -> bool:
        if topics.METHODS not in self._subscriptions:
            return False
        self._send(answers.publish(topics.method_request(name, request_id), payload))
        return True

    def deliver(self, command: Command) -> None:
        if topics.commands_filter(self.device.device_id) in self._subscriptions:
            self._deliver(command, again=False)

    def close(self, reason: str) -> None:
        self._end(reason)

    def _start(self, topic_filter: str, *, again: bool) -> None:
        if topic_filter == topics.METHODS:
            self._api.hub.methods.device_ready(self.device.device_id)
        elif topic_filter == topics.commands_filter(self.device.device_id) and self.device.commands:
            for command in self.device.commands.waiting(self._api.hub.clock()):
                self._deliver(command, again=again)

    def _deliver(self, command: Command, *, again: bool) -> None:
        self._next_packet_id = self._next_packet_id % _PACKET_IDS + 1
        self._in_flight[self._next_packet_id] = command.message_id
        topic = topics.command(self.device.device_id, command)
        self._send(answers.publish_at_least_once(topic, command.body, self._next_packet_id, again=again))

    def _take_telemetry(self, telemetry: topics.Telemetry, publish: Publish) -> None:
        try:
            self._api.send_telemetry(self.device, publish.payload, telemetry.application, telemetry.system)
        except HubError as error:
            # MQTT has no way to refuse a message; the hub drops the connection.
            self._end(error.message)
            return
        self._acknowledge(publish)

    def _acknowledge(self, publish: Publish) -> None:
        if publish.qos:
            self._send(answers.puback(publish.packet_id))

    def _answer_twin_get(self, request: topics.TwinGet) -> None:
        try:
            twin = self._api.get_twin(self.device)
        except HubError as error:
            self._refuse(request.request_id, error)
            return
        self._respond(topics.twin_response(200, request.request_id), _write(twin))

    def _answer_patch(self, request: topics.ReportedPatch, payload: bytes) -> None:
        try:
            version = self._api.patch_reported(self.device, payload, request.base_version)
        except HubError as error:
            self._refuse(request.request_id, error)
            return
        self._respond(topics.twin_response(204, request.request_id, version), b"")

    def _refuse(self, request_id: str, error: HubError) -> None:
        status = 413 if isinstance(error, TwinTooLarge) else error.code.status
        body = write_coded_error(error, self._api.hub.clock()).encode()
        self._respond(topics.twin_response(status, request_id), body)

    def _respond(self, topic: str, payload: bytes) -> None:
        if topics.TWIN_RESPONSES in self._subscriptions:
            self._send(answers.publish(topic, payload))


def _write(document: Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
