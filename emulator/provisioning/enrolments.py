"""Enrolments: who may register, and what becomes of them. JSON as in the service's REST API of 2021-10-01."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from emulator.hub.errors import HubError
from emulator.hub.twins import read_service_patch
from emulator.provisioning.attestation import (
    Attestation,
    Certificates,
    Credential,
    Proof,
    Shown,
    SymmetricKeys,
    accepts_token,
    is_one_of,
    is_signed_by,
    names,
    read_attestation,
    write_attestation,
)
from emulator.provisioning.errors import invalid


class Reprovisioning(StrEnum):
    """What a further registration does with a device's data."""

    MIGRATE = "migrate"
    RESET = "reset"
    NEVER = "never"


_POLICIES = {
    (True, True): Reprovisioning.MIGRATE,
    (True, False): Reprovisioning.RESET,
    (False, False): Reprovisioning.NEVER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A group, or a single device.

    Attributes:
        name: the group's id, or the registration id of the single device.
        of_group: whether it is a group.
        device_id: of a single device, where it differs from the registration id.
        hub: host name of the linked hub that its devices go to; empty for any.
        initial_twin: `tags` and `properties.desired` of a new device.
    """

    name: str
    of_group: bool
    attestation: Attestation
    enabled: bool = True
    device_id: str = ""
    hub: str = ""
    initial_twin: Mapping[str, Any] | None = None
    reprovisioning: Reprovisioning = Reprovisioning.MIGRATE

    def accepts(self, registration_id: str, proof: Proof, *, resource: str, now: Any) -> bool:
        """Whether the device may register under it, enabled or not."""
        if isinstance(self.attestation, SymmetricKeys):
            keys = self.keys_of(registration_id)
            return (
                keys is not None
                and proof.token is not None
                and accepts_token(keys, proof.token, resource=resource, now=now)
            )
        return proof.certificate is not None and _accepts_certificate(self, proof.certificate, registration_id)

    def credential_of(self, registration_id: str, proof: Proof) -> Credential:
        """What one of its devices, which it accepts, signs in to the hub with."""
        keys = self.keys_of(registration_id)
        if keys is not None:
            return keys
        return Shown(thumbprint=hashlib.sha256(proof.certificate or b"").hexdigest().upper())

    def keys_of(self, registration_id: str) -> SymmetricKeys | None:
        """The keys of one of its devices; None where they have certificates."""
        if isinstance(self.attestation, Certificates):
            return None
        return self.attestation.derived(registration_id) if self.of_group else self.attestation


def _accepts_certificate(enrolment: Enrolment, certificate: bytes, registration_id: str) -> bool:
    if not isinstance(enrolment.attestation, Certificates) or not names(certificate, registration_id):
        return False
    check = is_signed_by if enrolment.of_group else is_one_of
    return check(enrolment.attestation, certificate)


def read_enrolment(name: str, document: Mapping[str, Any], *, of_group: bool) -> Enrolment:
    """The enrolment in a request body.

    Raises:
        ProvisioningError: 400.
    """
    status = document.get("provisioningStatus", "enabled")
    if status not in ("enabled", "disabled"):
        raise invalid("provisioningStatus is enabled or disabled")
    return Enrolment(
        name=name,
        of_group=of_group,
        attestation=read_attestation(document.get("attestation") or {}),
        enabled=status == "enabled",
        device_id="" if of_group else str(document.get("deviceId") or ""),
        hub=str(document.get("iotHubHostName") or ""),
        initial_twin=_checked_twin(document.get("initialTwin")),
        reprovisioning=_read_policy(document.get("reprovisionPolicy")),
    )


def write_enrolment(enrolment: Enrolment) -> dict[str, Any]:
    """As :func:`read_enrolment` reads it, keys and all."""
    policy = next(key for key, value in _POLICIES.items() if value is enrolment.reprovisioning)
    return {
        "enrollmentGroupId" if enrolment.of_group else "registrationId": enrolment.name,
        "attestation": write_attestation(enrolment.attestation, of_group=enrolment.of_group),
        "provisioningStatus": "enabled" if enrolment.enabled else "disabled",
        "deviceId": enrolment.device_id or None,
        "iotHubHostName": enrolment.hub or None,
        "initialTwin": enrolment.initial_twin,
        "reprovisionPolicy": {"updateHubAssignment": policy[0], "migrateDeviceData": policy[1]},
    }


def _checked_twin(document: Any) -> Any:
    """As it is; held against what the hub will take when the first device comes."""
    try:
        if document is not None:
            read_service_patch(document)
    except HubError as error:
        raise invalid(f"initialTwin: {error.message}") from error
    return document


def _read_policy(document: Any) -> Reprovisioning:
    if document is None:
        return Reprovisioning.MIGRATE
    try:
        return _POLICIES[document["updateHubAssignment"], document["migrateDeviceData"]]
    except (KeyError, TypeError):
        raise invalid("reprovisionPolicy: data is migrated only where the hub may change") from None
