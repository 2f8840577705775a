"""What a connected device may ask, and the answers as topic and body."""

import json
from typing import Any

from emulator.provisioning import topics
from emulator.provisioning.attestation import Proof
from emulator.provisioning.errors import ProvisioningError, invalid
from emulator.provisioning.faults import ProvisioningFaults
from emulator.provisioning.registrations import Operation, write_operation
from emulator.provisioning.store import ProvisioningStore

type Written = tuple[str, bytes]


class DeviceRequests:
    """The service, seen by devices."""

    def __init__(self, store: ProvisioningStore, faults: ProvisioningFaults) -> None:
        self.store = store
        self._faults = faults

    def respond(self, registration_id: str, proof: Proof, topic: str, payload: bytes) -> Written:
        """The answer to what a device published.

        Raises:
            topics.UnknownTopic: there is none.
        """
        request = topics.read_topic(topic)
        try:
            self._faults.take()
            if isinstance(request, topics.Register):
                custom = _read_payload(registration_id, payload)
                operation = self.store.register(registration_id, proof, custom)
                return self._accepted(operation, request.request_id)
            operation = self.store.find_operation(registration_id, proof, request.operation_id)
        except ProvisioningError as error:
            body = error.body(self.store.clock())
            return topics.answer(error.status, request.request_id, error.retry_after_s), _write(body)
        if self.store.clock() < operation.ready_at:
            return self._accepted(operation, request.request_id)
        return topics.answer(200, request.request_id, None), _write(write_operation(operation, self.store.clock()))

    def _accepted(self, operation: Operation, request_id: str) -> Written:
        """202: a registration is told what became of it only when it asks again."""
        body = {"operationId": operation.operation_id, "status": "assigning"}
        return topics.answer(202, request_id, self.store.config.retry_after_s), _write(body)


def _read_payload(registration_id: str, body: bytes) -> Any:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise invalid("the body is no JSON") from error
    if not isinstance(document, dict) or document.get("registrationId", registration_id) != registration_id:
        raise invalid("registrationId is not that of the connection")
    return document.get("payload")


def _write(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
