"""IoT Hub's MQTT topics ("Communicate with an IoT hub using the MQTT protocol")."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from emulator.hub.commands import Command

TWIN_RESPONSES = "$iothub/twin/res/#"
DESIRED_CHANGES = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"
_TWIN_GET = "$iothub/twin/GET/"
_REPORTED_PATCH = "$iothub/twin/PATCH/properties/reported/"
_METHOD_ANSWER = "$iothub/methods/res/"
# Device ids stand in topics as they are, not URL-encoded.
_SYSTEM_KEYS = {
    "$.mid": "message-id",
    "$.cid": "correlation-id",
    "$.uid": "user-id",
    "$.ct": "content-type",
    "$.ce": "content-encoding",
    "$.exp": "absolute-expiry-time",
}


def commands_filter(device_id: str) -> str:
    """What a device subscribes to for cloud-to-device messages."""
    return f"devices/{device_id}/messages/devicebound/#"


def allowed_filters(device_id: str) -> frozenset[str]:
    """All that a device may subscribe to."""
    return frozenset({TWIN_RESPONSES, DESIRED_CHANGES, METHODS, commands_filter(device_id)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinGet:
    """The device asks for its twin."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPatch:
    """The device patches its reported properties, on top of ``base_version`` if it names one."""

    request_id: str
    base_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """The device answers a direct method."""

    request_id: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The device sends a message."""

    application: Mapping[str, str]
    system: Mapping[str, str]


type Request = TwinGet | ReportedPatch | MethodResult | Telemetry


class UnknownTopic(Exception):
    """A device may not publish there."""


def read_topic(topic: str, device_id: str) -> Request:
    """What a device wants by publishing to ``topic``.

    Raises:
        UnknownTopic: Nothing that it may do.
    """
    telemetry = f"devices/{device_id}/messages/events"
    if topic == telemetry or topic.startswith(f"{telemetry}/"):
        return _read_telemetry(topic.removeprefix(telemetry).strip("/"))
    path, _, query = topic.partition("?")
    fields = _read_bag(query)
    try:
        return _read_request(path, fields)
    except (KeyError, ValueError) as error:
        raise UnknownTopic(topic) from error


def _read_request(path: str, fields: Mapping[str, str]) -> Request:
    if path == _TWIN_GET:
        return TwinGet(request_id=fields["$rid"])
    if path == _REPORTED_PATCH:
        version = fields.get("$version")
        return ReportedPatch(request_id=fields["$rid"], base_version=int(version) if version else None)
    if path.startswith(_METHOD_ANSWER):
        status = path.removeprefix(_METHOD_ANSWER).rstrip("/")
        return MethodResult(request_id=fields["$rid"], status=int(status))
    raise KeyError(path)


def _read_telemetry(bag: str) -> Telemetry:
    fields = _read_bag(bag)
    system = {_SYSTEM_KEYS[key]: value for key, value in fields.items() if key in _SYSTEM_KEYS}
    application = {key: value for key, value in fields.items() if not key.startswith("$.")}
    return Telemetry(application=application, system=system)


def _read_bag(text: str) -> dict[str, str]:
    pairs = (field.partition("=") for field in text.split("&") if field)
    return {unquote(key): unquote(value) for key, _, value in pairs}


def twin_response(status: int, request_id: str, version: int | None = None) -> str:
    """The topic of an answer to a twin request."""
    suffix = "" if version is None else f"&$version={version}"
    return f"$iothub/twin/res/{status}/?$rid={quote(request_id, safe='')}{suffix}"


def desired_change(version: int) -> str:
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def method_request(name: str, request_id: str) -> str:
    return f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={request_id}"


def command(device_id: str, sent: Command) -> str:
    """The topic of a cloud-to-device message, its properties in a URL-encoded bag."""
    fields = {
        "$.mid": sent.message_id,
        "$.to": f"/devices/{device_id}/messages/deviceBound",
        **sent.properties,
    }
    bag = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in fields.items())
    return f"devices/{device_id}/messages/devicebound/{bag}"
