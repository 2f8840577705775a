"""What IoT Hub says when it refuses, in the words of the ports."""

from __future__ import annotations

import logging
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import ClientException, HttpOperationError

from shared.adapters.azure_access import REFUSED, Resource, explain_refusal
from shared.adapters.refusals_told import quota_used_up, throttled
from shared.ports.errors import PortError, Unavailable
from shared.ports.hub import TwinOutcome

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 30
MAX_DETAIL = 300

HUB = Resource(kind="iothub", about="Twin")

# Names and numbers: learn.microsoft.com, rest/api/iothub/common-error-codes.
_QUOTA = frozenset({"IotHubQuotaExceeded", "403002"})
NO_DEVICE = frozenset({"DeviceNotFound", "404001"})
THROTTLED = frozenset(
    {"ThrottlingException", "429001", "GenericTooManyRequests", "ThrottleBacklogLimitExceeded", "429002"}
    | {"ThrottlingBacklogTimeout", "429003", "DeviceThrottlingLimitExceeded"}
)
_OUTAGES = frozenset(
    {"ServerError", "ServerBusy", "ServiceUnavailable", "GatewayTimeout", "RequestTimedOut", "RequestCanceled"}
    | {"IotHubFailingOver", "IotHubRestoring", "IotHubSuspended", "RetryAttemptsExhausted", "PartitionNotFound"}
)


def without_retries(registry: IoTHubRegistryManager) -> IoTHubRegistryManager:
    """The client, told to hand out each answer as it comes.

    By itself it tries outages three times more and hides the status behind a ``RetryError``; pacing and redelivery are
    ours to decide. The policy is changed in place, because the sessions made so far hold it.
    """
    config: Any = registry.protocol.config
    config.retry_policy.retries = 0
    config.retry_policy.policy.status_forcelist = ()
    config.connection.timeout = CALL_TIMEOUT_S
    return registry


def port_error(error: ClientException) -> PortError:
    """The port's word for an error of a call that concerns no single twin write."""
    if not isinstance(error, HttpOperationError):
        return Unavailable(f"IoT Hub cannot be reached: {type(error).__name__}")
    status, code, _ = read_refusal(error)
    if code in _QUOTA:
        return quota_used_up()
    if status == 429:
        return throttled("iot-hub", "IoT Hub asks for fewer calls")
    if status in REFUSED:
        return explain_refusal("IoT Hub", HUB, status=status, code=code)
    return Unavailable(f"IoT Hub refused a call: {status} {code}")


def twin_outcome(error: ClientException) -> tuple[TwinOutcome, str]:
    """How a twin write ended that raised this, with the hub's words.

    Raises:
        QuotaExceeded: The daily quota is used up.
    """
    if not isinstance(error, HttpOperationError):
        return TwinOutcome.UNAVAILABLE, type(error).__name__
    status, code, message = read_refusal(error)
    if code in _QUOTA:
        raise quota_used_up() from error
    if status == 429:
        return TwinOutcome.THROTTLED, code
    if code in NO_DEVICE:
        return TwinOutcome.NO_DEVICE, code
    if status in (400, 412, 413):
        return TwinOutcome.REFUSED, message
    # A key or a role that is wrong, a hub that is gone: nothing the device is to blame for.
    if status in REFUSED:
        refused = explain_refusal("IoT Hub", HUB, status=status, code=code).message
        log.error("a twin was not written: %s", refused)
        return TwinOutcome.UNAVAILABLE, refused
    log.error("IoT Hub refused a twin write: %s %s", status, code)
    return TwinOutcome.UNAVAILABLE, code


def outcome_of_code(code: str, status: str) -> tuple[TwinOutcome, str]:
    """How an entry of a bulk call ended that the hub answered with this code.

    Raises:
        QuotaExceeded: The daily quota is used up.
    """
    if code in _QUOTA:
        raise quota_used_up()
    if code in NO_DEVICE:
        return TwinOutcome.NO_DEVICE, code
    if code in THROTTLED:
        return TwinOutcome.THROTTLED, code
    if code in _OUTAGES or code.startswith("5"):
        return TwinOutcome.UNAVAILABLE, code
    return TwinOutcome.REFUSED, f"{code}: {status}"[:MAX_DETAIL]


def read_refusal(error: HttpOperationError) -> tuple[int, str, str]:
    """HTTP status, error name and message of an answer.

    Answers are ``{"Message": "ErrorCode:<name>;<text>", …}``; newer ones carry the number in ``errorCode`` instead.
    """
    response: Any = error.response
    try:
        document = response.json()
        text = str(document.get("Message") or document["message"])
        number = str(document.get("errorCode", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        text, number = str(response.text), ""
    name, _, message = text.removeprefix("ErrorCode:").partition(";")
    if not message or not text.startswith("ErrorCode:"):
        name, message = number, text
    return int(response.status_code), name.strip(), message.strip()[:MAX_DETAIL]
