"""What became of a device's registrations, and how the service tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from emulator.hub.clock import write_time
from emulator.hub.devices import new_etag


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A device's latest registration.

    Attributes:
        substatus: `initialAssignment`, `deviceDataMigrated` or `deviceDataReset`.
        group: the enrolment group it came under; empty for an individual enrolment.
        payload: what the device sent along.
        failure: why it failed; empty where it did not.
        count: how often the device has registered.
    """

    registration_id: str
    device_id: str
    hub: str
    substatus: str
    group: str
    created_at: datetime
    updated_at: datetime
    payload: Any = None
    failure: str = ""
    count: int = 1
    etag: str = field(default_factory=new_etag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One registration under way, or done.

    Attributes:
        ready_at: the service says `assigning` before that.
    """

    registration: Registration
    ready_at: datetime
    operation_id: str = field(default_factory=lambda: f"4.{uuid4().hex[:16]}.{uuid4()}")


def write_state(registration: Registration) -> dict[str, Any]:
    """The `registrationState` of the REST API."""
    state = {
        "registrationId": registration.registration_id,
        "createdDateTimeUtc": write_time(registration.created_at),
        "lastUpdatedDateTimeUtc": write_time(registration.updated_at),
        "etag": registration.etag,
    }
    if registration.failure:
        return state | {"status": "failed", "errorCode": 400209, "errorMessage": registration.failure}
    state |= {"status": "assigned", "substatus": registration.substatus}
    return state | {"assignedHub": registration.hub, "deviceId": registration.device_id}


def write_operation(operation: Operation, now: datetime) -> dict[str, Any]:
    """The `RegistrationOperationStatus` of the REST API."""
    if now < operation.ready_at:
        return {"operationId": operation.operation_id, "status": "assigning"}
    state = write_state(operation.registration)
    return {"operationId": operation.operation_id, "status": state["status"], "registrationState": state}


def write_registration(registration: Registration) -> dict[str, Any]:
    """For the control API, and to be kept."""
    return {
        "registrationId": registration.registration_id,
        "deviceId": registration.device_id,
        "assignedHub": registration.hub,
        "substatus": registration.substatus,
        "enrollmentGroupId": registration.group,
        "payload": registration.payload,
        "failure": registration.failure,
        "count": registration.count,
        "createdAt": registration.created_at.isoformat(),
        "updatedAt": registration.updated_at.isoformat(),
    }


def read_registration(document: Mapping[str, Any]) -> Registration:
    """As :func:`write_registration` wrote it."""
    return Registration(
        registration_id=document["registrationId"],
        device_id=document["deviceId"],
        hub=document["assignedHub"],
        substatus=document["substatus"],
        group=document["enrollmentGroupId"],
        payload=document["payload"],
        failure=document["failure"],
        count=document["count"],
        created_at=datetime.fromisoformat(document["createdAt"]),
        updated_at=datetime.fromisoformat(document["updatedAt"]),
    )
