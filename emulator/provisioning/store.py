"""The service's state: enrolments, registrations, operations; and how a hub is chosen."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from emulator.durable import Entry, Part
from emulator.hub.clock import Clock, utc_now
from emulator.hub.errors import HubError
from emulator.provisioning.attestation import Certificates, Credential, Proof
from emulator.provisioning.config import ProvisioningConfig
from emulator.provisioning.enrolments import Enrolment, Reprovisioning, read_enrolment, write_enrolment
from emulator.provisioning.errors import not_found, unauthorized
from emulator.provisioning.links import LinkedHub
from emulator.provisioning.registrations import (
    Operation,
    Registration,
    read_registration,
    write_registration,
)


class ProvisioningStore:
    """Everything that is not wire.

    Args:
        hubs: linked hubs; at least one.
    """

    def __init__(self, config: ProvisioningConfig, hubs: Sequence[LinkedHub], *, clock: Clock = utc_now) -> None:
        self.config = config
        self.clock = clock
        self._hubs = hubs
        self.groups: dict[str, Enrolment] = {}
        self.individuals: dict[str, Enrolment] = {}
        self.registrations: dict[str, Registration] = {}
        self._operations: dict[str, Operation] = {}

    def put(self, enrolment: Enrolment) -> None:
        """Make or replace an enrolment; the hubs are told of its certificates."""
        if isinstance(enrolment.attestation, Certificates):
            for hub in self._hubs:
                hub.believe(enrolment.attestation)
        (self.groups if enrolment.of_group else self.individuals)[enrolment.name] = enrolment

    def register(self, registration_id: str, proof: Proof, payload: Any) -> Operation:
        """Assign a device to a hub and register it there.

        Raises:
            ProvisioningError: 401.
        """
        enrolment = self._find_enrolment(registration_id, proof)
        now = self.clock()
        credential = enrolment.credential_of(registration_id, proof)
        registration = self._assign(enrolment, registration_id, payload, credential)
        self.registrations[registration_id] = registration
        operation = Operation(registration=registration, ready_at=now + timedelta(seconds=self.config.assigning_s))
        # A device asks about its latest operation only.
        self._operations[registration_id] = operation
        return operation

    def find_operation(self, registration_id: str, proof: Proof, operation_id: str) -> Operation:
        """A device's own operation.

        Raises:
            ProvisioningError: 401 or 404.
        """
        self._find_enrolment(registration_id, proof)
        operation = self._operations.get(registration_id)
        if operation is None or operation.operation_id != operation_id:
            raise not_found("Operation not found")
        return operation

    @property
    def part(self) -> Part:
        """What it knows, operations under way apart."""

        def held() -> Iterator[Entry]:
            document = self.snapshot()
            yield Entry(key="all", mark=document, write=lambda: document)

        return Part(name="provisioning", held=held, restore=lambda documents: self.restore(documents["all"]))

    def snapshot(self) -> dict[str, Any]:
        """What it knows, for :meth:`restore`; operations under way are not in it."""
        return {
            "groups": [write_enrolment(each) for each in self.groups.values()],
            "individuals": [write_enrolment(each) for each in self.individuals.values()],
            "registrations": [write_registration(each) for each in self.registrations.values()],
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Know again what a service knew."""
        for each in document["groups"]:
            self.put(read_enrolment(each["enrollmentGroupId"], each, of_group=True))
        for each in document["individuals"]:
            self.put(read_enrolment(each["registrationId"], each, of_group=False))
        known = map(read_registration, document["registrations"])
        self.registrations |= {each.registration_id: each for each in known}

    def _find_enrolment(self, registration_id: str, proof: Proof) -> Enrolment:
        """An individual enrolment goes before all groups, also to keep a device of a group out."""
        individual = self.individuals.get(registration_id)
        resource, now = f"{self.config.id_scope}/registrations/{registration_id}", self.clock()
        for enrolment in (individual,) if individual else self.groups.values():
            if enrolment.enabled and enrolment.accepts(registration_id, proof, resource=resource, now=now):
                return enrolment
        raise unauthorized()

    def _assign(self, enrolment: Enrolment, registration_id: str, payload: Any, credential: Credential) -> Registration:
        before, now = self.registrations.get(registration_id), self.clock()
        registration = Registration(
            registration_id=registration_id,
            device_id=enrolment.device_id or registration_id,
            hub="",
            substatus="initialAssignment",
            group=enrolment.name if enrolment.of_group else "",
            payload=payload,
            created_at=before.created_at if before else now,
            updated_at=now,
            count=before.count + 1 if before else 1,
        )
        try:
            hub = self._choose(enrolment, registration_id, before)
            substatus = self._place(enrolment, registration, hub, before, credential)
        except (HubError, LookupError) as error:
            return replace(registration, failure=str(error))
        return replace(registration, hub=hub.host_name, substatus=substatus)

    def _choose(self, enrolment: Enrolment, registration_id: str, before: Registration | None) -> LinkedHub:
        if before is not None and before.hub and enrolment.reprovisioning is Reprovisioning.NEVER:
            return self._hub(before.hub)
        if enrolment.hub:
            return self._hub(enrolment.hub)
        share = int.from_bytes(hashlib.sha256(registration_id.encode()).digest()[:4])
        return self._hubs[share % len(self._hubs)]

    def _hub(self, host_name: str) -> LinkedHub:
        for hub in self._hubs:
            if hub.host_name == host_name:
                return hub
        raise LookupError(f"no linked hub {host_name}")

    def _place(
        self,
        enrolment: Enrolment,
        registration: Registration,
        hub: LinkedHub,
        before: Registration | None,
        credential: Credential,
    ) -> str:
        """Have the device in that hub and no other one of ours; the registration's substatus."""
        device_id, policy = registration.device_id, enrolment.reprovisioning
        twin = None
        if before is not None and before.hub not in ("", hub.host_name):
            # One that is linked no more has kept what it had; so has this one where only its address is another.
            twin = next((each.release(before.device_id) for each in self._hubs if each.host_name == before.hub), None)
        elif before is not None and policy is Reprovisioning.RESET:
            hub.release(device_id)
        if hub.knows(device_id):
            hub.renew(device_id, credential)
        else:
            hub.create(device_id, credential, enrolment.initial_twin)
        if twin is not None and policy is Reprovisioning.MIGRATE:
            hub.restore(device_id, twin)
            return "deviceDataMigrated"
        return "deviceDataReset" if before and policy is Reprovisioning.RESET else "initialAssignment"
