"""The local provisioning service's state, without a connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.enrolment import protocol
from emulator.hub.clock import utc_now
from emulator.hub.policies import new_key
from emulator.hub.sas import read_token
from emulator.hub.twins import Twin
from emulator.provisioning.attestation import Certificates, Credential, Proof
from emulator.provisioning.config import ProvisioningConfig
from emulator.provisioning.enrolments import read_enrolment
from emulator.provisioning.faults import ProvisioningFaults
from emulator.provisioning.requests import DeviceRequests
from emulator.provisioning.store import ProvisioningStore

SCOPE = "0ne1"
KEY = new_key()


@dataclass
class FakeLink:
    """A hub that keeps who is in it."""

    host_name: str
    devices: set[str] = field(default_factory=set)

    def knows(self, device_id: str) -> bool:
        return device_id in self.devices

    def create(self, device_id: str, credential: Credential, initial: Mapping[str, Any] | None) -> None:
        self.devices.add(device_id)

    def renew(self, device_id: str, credential: Credential) -> None:
        pass

    def believe(self, certificates: Certificates) -> None:
        pass

    def release(self, device_id: str) -> Twin | None:
        self.devices.discard(device_id)
        return None

    def restore(self, device_id: str, twin: Twin) -> None:
        pass


def service(hub: FakeLink, **fields: Any) -> ProvisioningStore:
    store = ProvisioningStore(ProvisioningConfig(id_scope=SCOPE), [hub])
    keys = {"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY}}
    store.put(read_enrolment("dev-1", {"attestation": keys} | fields, of_group=False))
    return store


def proof(key: str) -> Proof:
    expires_s = int(utc_now().timestamp()) + 600
    return Proof(token=read_token(protocol.password(SCOPE, "dev-1", key, expires_s=expires_s)))


def test_whoever_cannot_prove_who_he_is_is_not_told_what_became_of_it() -> None:
    requests = DeviceRequests(service(FakeLink("one.example")), ProvisioningFaults())
    _, body = requests.respond("dev-1", proof(KEY), protocol.register_topic("1"), b"{}")
    ask = protocol.status_topic("2", json.loads(body)["operationId"])

    assert requests.respond("dev-1", proof(new_key()), ask, b"")[0].startswith("$dps/registrations/res/401/")
    assert requests.respond("dev-1", proof(KEY), ask, b"")[0].startswith("$dps/registrations/res/200/")


def test_a_device_of_a_hub_that_is_linked_no_more_is_assigned_to_one_that_is() -> None:
    """As when the local cloud comes up at another address."""
    before = service(FakeLink("one.example"))
    before.register("dev-1", proof(KEY), None)
    there = FakeLink("two.example")
    after = ProvisioningStore(ProvisioningConfig(id_scope=SCOPE), [there])
    after.restore(before.snapshot())

    registration = after.register("dev-1", proof(KEY), None).registration
    assert (registration.failure, registration.hub, there.devices) == ("", "two.example", {"dev-1"})
