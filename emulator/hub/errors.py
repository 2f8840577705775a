"""What the hub answers when it refuses: the documented error codes and the body that carries them.

Codes and names: learn.microsoft.com, rest/api/iothub/common-error-codes, and the ``errorCode`` values listed in the
service SDK's ``DeviceRegistryOperationError``.
"""

import json
import secrets
from datetime import datetime
from enum import Enum

from emulator.hub.clock import write_time


class Code(Enum):
    """An error code: its number (the first three digits are the HTTP status) and its name on the wire."""

    INVALID_PROTOCOL_VERSION = (400001, "InvalidProtocolVersion")
    ARGUMENT_INVALID = (400004, "ArgumentInvalid")
    ARGUMENT_NULL = (400005, "ArgumentNull")
    BAD_FORMAT = (400006, "IotHubFormatError")
    DEVICE_DEFINED_TWICE = (400011, "DeviceDefinedMultipleTimes")
    UNAUTHORIZED = (401002, "IotHubUnauthorizedAccess")
    QUOTA_EXCEEDED = (403002, "IotHubQuotaExceeded")
    QUEUE_DEPTH_EXCEEDED = (403004, "DeviceMaximumQueueDepthExceeded")
    NOT_FOUND = (404000, "GenericNotFound")
    DEVICE_NOT_FOUND = (404001, "DeviceNotFound")
    DEVICE_NOT_ONLINE = (404103, "DeviceNotOnline")
    METHOD_NOT_ALLOWED = (405000, "GenericMethodNotAllowed")
    DEVICE_EXISTS = (409001, "DeviceAlreadyExists")
    PRECONDITION_FAILED = (412002, "PreconditionFailed")
    MESSAGE_TOO_LARGE = (413001, "MessageTooLarge")
    TOO_MANY_DEVICES = (413003, "TooManyDevices")
    THROTTLED = (429001, "ThrottlingException")
    SERVER_ERROR = (500001, "ServerError")
    GATEWAY_TIMEOUT = (504101, "GatewayTimeout")

    @property
    def number(self) -> int:
        return self.value[0]

    @property
    def wire_name(self) -> str:
        return self.value[1]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.number // 1000


class HubError(Exception):
    """The hub refuses an operation.

    Args:
        code: what a client may switch on.
        message: what a person reads.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> HubError:
    """A 400 about the content of a request."""
    return HubError(Code.ARGUMENT_INVALID, message)


def tracking_id(now: datetime) -> str:
    return f"{secrets.token_hex(16)}-G:0-TimeStamp:{now:%m/%d/%Y %H:%M:%S}"


def write_error(error: HubError, now: datetime) -> dict[str, str]:
    """The REST body: ``{"Message": "ErrorCode:<name>;<text>", "ExceptionMessage": "Tracking ID:…"}``.

    Direct-method refusals put a JSON document into ``Message`` instead (azure-iot-sdk-csharp#3442 shows one).
    """
    if error.code in _JSON_MESSAGE:
        return {"Message": write_coded_error(error, now), "ExceptionMessage": ""}
    return {
        "Message": f"ErrorCode:{error.code.wire_name};{error.message}",
        "ExceptionMessage": f"Tracking ID:{tracking_id(now)}",
    }


_JSON_MESSAGE = frozenset({Code.DEVICE_NOT_ONLINE, Code.GATEWAY_TIMEOUT})


def write_coded_error(error: HubError, now: datetime) -> str:
    """The JSON form, which devices get over MQTT too."""
    document = {
        "errorCode": error.code.number,
        "trackingId": tracking_id(now),
        "message": error.message,
        "timestampUtc": write_time(now),
    }
    return json.dumps(document)
