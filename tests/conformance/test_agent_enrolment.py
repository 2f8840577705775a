"""The agent enrols: its own client over the wire, and the whole process with nothing but scope and key."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.provisioning import DpsRegistrar, Enrolment
from agent.ports import Assignment, ChannelDown, RegistrationPutOff, RegistrationRefused
from shared.domain.enrolment import derive_device_key
from shared.domain.ids import DeviceId
from shared.wire.twins import write_offer
from tests.support.agent import Factory, running_factory
from tests.support.agent_process import AgentProcess
from tests.support.certificates import issue_certificate, make_certificate
from tests.support.hub import LocalHub, local_hub
from tests.support.provisioning import GROUP_KEY, SCOPE, LocalProvisioning, local_provisioning
from tests.support.waiting import wait_until

NUMBERS = count(1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def service(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProvisioning]:
    with local_provisioning(hub, tmp_path_factory.mktemp("dps"), assigning_s=0.5) as service:
        yield service


@pytest.fixture
def dps(service: LocalProvisioning) -> Iterator[LocalProvisioning]:
    service.enrol_group()
    yield service
    service.fail()
    service.forget_enrolments()


@pytest.fixture
def name() -> DeviceId:
    return DeviceId(f"enrolled-{next(NUMBERS)}")


def enrolment(dps: LocalProvisioning, name: str, **changes: Any) -> Enrolment:
    fields: dict[str, Any] = {
        "host": dps.server.address,
        "id_scope": SCOPE,
        "registration": name,
        "key": derive_device_key(GROUP_KEY, name),
        "ca_file": dps.ca_file,
        "timeout_s": 20,
    }
    return Enrolment(**fields | changes)


def register(dps: LocalProvisioning, name: str, **changes: Any) -> Assignment:
    return DpsRegistrar(enrolment(dps, name, **changes)).register()


def test_an_assignment_is_waited_for_and_the_payload_told(dps: LocalProvisioning, name: DeviceId) -> None:
    assigned = register(dps, name, payload={"hardware": "rev-b"})

    assert assigned == Assignment(hub=dps.hub.server.mqtt_host, device=name)
    known = dps.registration(name)
    assert known is not None
    assert (known.payload, known.count) == ({"hardware": "rev-b"}, 1)


def test_refusals_say_what_the_service_said(dps: LocalProvisioning, name: DeviceId) -> None:
    with pytest.raises(RegistrationRefused, match="401002 Unauthorized"):
        register(dps, name, key=derive_device_key(GROUP_KEY, "another"))
    with pytest.raises(RegistrationRefused, match="refused the connection"):
        register(dps, name, id_scope="0neOTHER")
    dps.enrol_group(iotHubHostName="nowhere.example")
    with pytest.raises(RegistrationRefused, match="failed 400209 no linked hub"):
        register(dps, name)


def test_a_throttled_service_names_the_wait(dps: LocalProvisioning, name: DeviceId) -> None:
    dps.fail(status=429, count=1, retryAfter=7)
    with pytest.raises(RegistrationPutOff) as put_off:
        register(dps, name)
    assert put_off.value.retry_after_s == 7
    dps.fail(status=500, count=1)
    with pytest.raises(RegistrationPutOff, match="500"):
        register(dps, name)
    assert register(dps, name).device == name


def test_whoever_is_not_there_in_time_or_not_trusted_is_down(
    dps: LocalProvisioning, name: DeviceId, tmp_path: Path
) -> None:
    with pytest.raises(ChannelDown, match="no assignment within"):
        register(dps, name, timeout_s=0.3)
    with pytest.raises(ChannelDown, match="cannot be reached"):
        register(dps, name, host="127.99.99.1:9")
    with pytest.raises(ChannelDown, match="CERTIFICATE_VERIFY_FAILED"):
        register(dps, name, ca_file=make_certificate(tmp_path, "another-authority")[0])


def test_a_certificate_does_for_a_key(dps: LocalProvisioning, name: DeviceId, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, name)
    kept = {"clientCertificates": {"primary": {"certificate": certificate[0].read_text()}}}
    dps.enrol(name, "", attestation={"type": "x509", "x509": kept})
    assert register(dps, name, key=None, certificate=certificate).device == name

    (tmp_path / "other").mkdir()
    with pytest.raises((ChannelDown, RegistrationRefused)):
        register(dps, name, key=None, certificate=make_certificate(tmp_path / "other", name))


def test_no_key_shows_in_what_may_be_logged(dps: LocalProvisioning, name: DeviceId) -> None:
    assert derive_device_key(GROUP_KEY, name) not in repr(enrolment(dps, name))


class EnrolledProcess(AgentProcess):
    """An agent that knows scope, registration and key or certificate, and no hub."""

    def __init__(
        self,
        folder: Path,
        name: DeviceId,
        dps: LocalProvisioning,
        factory: Factory,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._certificate = certificate
        self.name, self._dps, self._factory = name, dps, factory
        (folder / "root.json").write_bytes(factory.index.root)
        super().__init__(folder, self._configured())

    def _credential(self) -> tuple[dict[str, str], dict[str, str]]:
        """What stands in ``dps``, and what beside it."""
        if self._certificate is None:
            return {"symmetric_key": derive_device_key(GROUP_KEY, self.name)}, {}
        certificate, key = map(str, self._certificate)
        return {}, {"certificate_file": certificate, "certificate_key_file": key}

    def _configured(self) -> dict[str, Any]:
        within, beside = self._credential()
        return {
            **beside,
            "dps": {
                "id_scope": SCOPE,
                "registration_id": self.name,
                **within,
                "provisioning_host": self._dps.server.address,
                "ca_file": str(self._dps.ca_file),
                "retry_initial_s": 0.5,
                "retry_longest_s": 2.0,
            },
            "hub_ca_file": str(self._dps.hub.server.ca_path),
            "service_url": self._factory.service.url,
            "root_file": "root.json",
            "state_dir": "state",
            "properties": {"hardware": "rev-b"},
            "installed": {"engine": "1.0.0"},
            "hub": {"retry_initial_s": 0.1, "retry_longest_s": 0.5},
            "download": {"retry_initial_s": 0.05, "retry_longest_s": 0.2, "attempts": 5},
        }

    def update(self, device: DeviceId, version: str, sequence: int) -> None:
        """Offer the device that version, and see it installed."""
        package = self._factory.firmware(version, version.encode())
        offer = write_offer(self._factory.offer(package, sequence, device=device))
        registry = self._dps.hub.service()
        registry.update_twin(device, {"properties": {"desired": {"update": offer}}})

        def done() -> bool:
            told = registry.get_twin(device).properties.reported.get("update", {})
            return (told.get("sequence"), told.get("state")) == (sequence, "succeeded")

        try:
            wait_until(done, timeout_s=40)
        except TimeoutError as error:
            raise AssertionError(self.log()) from error
        assert self.status()["installed"] == {"engine": version}


@pytest.fixture
def process(tmp_path: Path, name: DeviceId, dps: LocalProvisioning) -> Iterator[EnrolledProcess]:
    with running_factory() as factory:
        process = EnrolledProcess(tmp_path, name, dps, factory)
        process.start()
        yield process
        process.stop(signal.SIGKILL)


def test_scope_and_key_are_enough_for_the_first_update(process: EnrolledProcess, dps: LocalProvisioning) -> None:
    wait_until(lambda: dps.hub.events_of(process.name, "deviceConnected"), timeout_s=20)
    process.update(process.name, "1.1.0", 1)
    assert process.stop() == 0

    process.start()
    wait_until(lambda: len(dps.hub.events_of(process.name, "deviceConnected")) >= 3, timeout_s=20)
    known = dps.registration(process.name)
    assert known is not None
    assert (known.count, known.payload) == (1, {"hardware": "rev-b"}), "the assignment outlives a restart"
    assert (process.status()["device"], process.status()["hub"]) == (process.name, dps.hub.server.mqtt_host)
    assert derive_device_key(GROUP_KEY, process.name) not in process.log()


def test_a_device_that_was_deleted_enrols_anew_and_goes_on(process: EnrolledProcess, dps: LocalProvisioning) -> None:
    wait_until(lambda: dps.hub.events_of(process.name, "deviceConnected"), timeout_s=20)
    process.update(process.name, "1.1.0", 1)

    dps.hub.service().delete_device(process.name)

    wait_until(lambda: len(dps.hub.events_of(process.name, "createDeviceIdentity")) == 2, timeout_s=30)
    process.update(process.name, "1.2.0", 2)
    known = dps.registration(process.name)
    assert known is not None
    assert known.count == 2


def test_a_device_that_is_enrolled_under_another_id_is_that_device(
    process: EnrolledProcess, dps: LocalProvisioning
) -> None:
    """Its sequences begin anew, its slots stay, and no offer for the former id is taken."""
    wait_until(lambda: dps.hub.events_of(process.name, "deviceConnected"), timeout_s=20)
    process.update(process.name, "1.1.0", 5)

    other = DeviceId(f"{process.name}-b")
    dps.enrol(process.name, derive_device_key(GROUP_KEY, process.name), deviceId=other)
    dps.hub.service().delete_device(process.name)

    wait_until(lambda: dps.hub.events_of(other, "deviceConnected"), timeout_s=30)
    process.update(other, "1.2.0", 1)
    assert process.status()["device"] == other
    assert f"{process.name} is {other} from now on" in process.log()


def test_a_device_with_a_certificate_of_its_group_enrols_and_is_updated(
    tmp_path: Path, dps: LocalProvisioning, name: DeviceId
) -> None:
    """The hub lets it in by what it enrolled with, and by a renewed certificate once it has enrolled with that."""
    authority = make_certificate(tmp_path, "works")
    kept = {"signingCertificates": {"primary": {"certificate": authority[0].read_text()}}}
    dps.enrol_group("by-certificate", attestation={"type": "x509", "x509": kept})
    with running_factory() as factory:
        certificate = issue_certificate(tmp_path, name, authority)
        process = EnrolledProcess(tmp_path, name, dps, factory, certificate)
        process.start()
        try:
            wait_until(lambda: dps.hub.events_of(name, "deviceConnected"), timeout_s=20)
            process.update(name, "1.1.0", 1)
            assert process.stop() == 0

            issue_certificate(tmp_path, name, authority)
            process.start()
            process.update(name, "1.2.0", 2)
            known = dps.registration(name)
            assert known is not None
            assert known.count == 2
        finally:
            process.stop(signal.SIGKILL)


def test_a_disabled_device_asks_ever_less_often_and_is_there_when_it_is_enabled(
    process: EnrolledProcess, dps: LocalProvisioning
) -> None:
    wait_until(lambda: dps.hub.events_of(process.name, "deviceConnected"), timeout_s=20)
    registry = dps.hub.service()
    keys = registry.get_device(process.name).authentication.symmetric_key
    registry.update_device_with_sas(process.name, "*", keys.primary_key, keys.secondary_key, "disabled")
    wait_until(lambda: process.log().count("assigned to") >= 2, timeout_s=30)

    registry.update_device_with_sas(process.name, "*", keys.primary_key, keys.secondary_key, "enabled")
    process.update(process.name, "1.1.0", 1)


def test_a_device_nobody_has_enrolled_yet_waits_and_ends_on_request(
    tmp_path: Path, dps: LocalProvisioning, name: DeviceId
) -> None:
    dps.forget_enrolments()
    with running_factory() as factory:
        process = EnrolledProcess(tmp_path, name, dps, factory)
        process.start()
        try:
            wait_until(lambda: process.log().count("401002 Unauthorized") >= 2, timeout_s=30)
            assert process.status()["device"] == ""
            dps.enrol_group()
            wait_until(lambda: dps.hub.events_of(name, "deviceConnected"), timeout_s=30)
            process.update(name, "1.1.0", 1)
            assert process.stop() == 0
        finally:
            process.stop(signal.SIGKILL)
