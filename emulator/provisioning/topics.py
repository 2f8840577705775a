"""The service's MQTT topics ("Communicate with DPS using the MQTT protocol")."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

ANSWERS = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_STATUS = "$dps/registrations/GET/iotdps-get-operationstatus/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """The device wants to be assigned."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskStatus:
    """The device asks how an operation stands."""

    request_id: str
    operation_id: str


class UnknownTopic(Exception):
    """A device may not publish there."""


def read_topic(topic: str) -> Register | AskStatus:
    """What a device wants by publishing to ``topic``.

    Raises:
        UnknownTopic: nothing that it may do.
    """
    path, _, query = topic.partition("?")
    pairs = (field.partition("=") for field in query.split("&") if field)
    fields = {unquote(key): unquote(value) for key, _, value in pairs}
    try:
        if path == _REGISTER:
            return Register(request_id=fields["$rid"])
        if path == _STATUS:
            return AskStatus(request_id=fields["$rid"], operation_id=fields["operationId"])
    except KeyError as error:
        raise UnknownTopic(topic) from error
    raise UnknownTopic(topic)


def answer(status: int, request_id: str, retry_after_s: int | None) -> str:
    """The topic of an answer."""
    suffix = "" if retry_after_s is None else f"&retry-after={retry_after_s}"
    return f"$dps/registrations/res/{status}/?$rid={quote(request_id, safe='')}{suffix}"


def read_user_name(user_name: str) -> tuple[str, str] | None:
    """Id scope and registration id in ``{scope}/registrations/{id}/api-version=…``; None where it has another form."""
    parts = user_name.split("/", 3)
    if len(parts) != 4 or parts[1] != "registrations" or not parts[3].startswith("api-version="):
        return None
    return parts[0], parts[2]
