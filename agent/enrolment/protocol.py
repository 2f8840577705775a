"""What device and Device Provisioning Service say to each other over MQTT, without a connection.

Source: "Communicate with DPS using the MQTT protocol", and ``RegistrationOperationStatus`` of its REST reference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from agent.enrolment.assignment_file import make_assignment
from agent.ports import Assignment, ChannelDown, RegistrationPutOff, RegistrationRefused
from agent.sas import sign_token

ANSWERS = "$dps/registrations/res/#"
_API_VERSION = "2019-03-31"
_POLICY = "registration"
_THROTTLED, _SERVER_ERROR = 429, 500
_MAX_MESSAGE = 300

DEFAULT_POLL_S = 2.0
LONGEST_POLL_S = 60.0
"""Bounds of the wait between two looks at an assignment: where the service names none, and whatever it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the service.

    Attributes:
        retry_after_s: Seconds it asks to wait; None where it does not.
    """

    request: str
    status: int
    retry_after_s: float | None
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigning:
    """The service is still at it; ask about the operation after that long."""

    operation: str
    wait_s: float


def user_name(id_scope: str, registration: str) -> str:
    """The MQTT user name."""
    return f"{id_scope}/registrations/{registration}/api-version={_API_VERSION}"


def password(id_scope: str, registration: str, key: str, *, expires_s: int) -> str:
    """The MQTT password of a device with a symmetric key; one with a certificate has none."""
    return sign_token(f"{id_scope}/registrations/{registration}", key, expires_s=expires_s, policy=_POLICY)


def register_topic(request: str) -> str:
    """Where a registration is asked for."""
    return f"$dps/registrations/PUT/iotdps-register/?$rid={request}"


def status_topic(request: str, operation: str) -> str:
    """Where it is asked what became of an operation."""
    return f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid={request}&operationId={quote(operation, safe='')}"


def write_registration(registration: str, payload: Mapping[str, Any]) -> bytes:
    """The body of a registration; the payload goes to whoever allocates the hub."""
    body: dict[str, Any] = {"registrationId": registration}
    return json.dumps(body | ({"payload": dict(payload)} if payload else {})).encode()


def read_answer(topic: str, payload: bytes) -> Answer:
    """The answer in a message.

    Raises:
        ChannelDown: It is none that can be read.
    """
    path, _, query = topic.partition("/?")
    fields = parse_qs(query)
    try:
        return Answer(
            request=fields["$rid"][0],
            status=int(path.removeprefix(ANSWERS[:-1])),
            retry_after_s=_seconds(fields.get("retry-after")),
            body=_object(payload),
        )
    except (ValueError, KeyError) as error:
        raise ChannelDown(f"the provisioning service answered what nobody understands: {topic!r}") from error


def read_outcome(answer: Answer) -> Assignment | Assigning:
    """What an answer means for the device.

    Raises:
        RegistrationPutOff: Too many requests, or the service is out of order.
        RegistrationRefused: It does not take the device.
        ChannelDown: It has another form.
    """
    if answer.status == _THROTTLED or answer.status >= _SERVER_ERROR:
        raise RegistrationPutOff(_sentence(answer, answer.body), answer.retry_after_s or 0.0)
    if not 200 <= answer.status < 300:
        raise RegistrationRefused(_sentence(answer, answer.body))
    told = answer.body.get("registrationState")
    state = told if isinstance(told, dict) else {}
    match answer.body.get("status"):
        case "assigning":
            return Assigning(operation=str(answer.body.get("operationId", "")), wait_s=_poll_s(answer))
        case "assigned":
            return _assignment(state)
        case _:
            raise RegistrationRefused(_sentence(answer, state))


def _assignment(state: Mapping[str, Any]) -> Assignment:
    try:
        return make_assignment(state.get("assignedHub"), state.get("deviceId"))
    except ValueError as error:
        raise ChannelDown(f"the provisioning service assigned what cannot be used: {error}") from error


def _poll_s(answer: Answer) -> float:
    asked_s = DEFAULT_POLL_S if answer.retry_after_s is None else answer.retry_after_s
    return min(asked_s, LONGEST_POLL_S)


def _seconds(texts: list[str] | None) -> float | None:
    seconds = float(texts[0]) if texts else None
    if seconds is not None and (not math.isfinite(seconds) or seconds < 0):
        raise ValueError("no number of seconds")
    return seconds


def _object(payload: bytes) -> Mapping[str, Any]:
    document = json.loads(payload or b"{}")
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


def _sentence(answer: Answer, said: Mapping[str, Any]) -> str:
    """For people: the status, and what the service says about it."""
    parts = [str(answer.status), answer.body.get("status"), said.get("errorCode")]
    parts.append(said.get("message") or said.get("errorMessage"))
    return "the provisioning service answered " + " ".join(str(part)[:_MAX_MESSAGE] for part in parts if part)
