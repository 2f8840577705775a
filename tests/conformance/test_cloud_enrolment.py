"""The provisioning service inside the local cloud: with the settings the cloud hands out, and over a restart."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import ProvisioningDeviceClient
from azure.iot.device.provisioning import RegistrationResult

from emulator.child import ROOT
from emulator.hub.policies import new_key
from emulator.local import LocalCloud
from shared.domain.enrolment import derive_device_key

CONFIG = ROOT / "infra/local/cloud.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="module")
def enrolling(folder: Path) -> Iterator[LocalCloud]:
    with LocalCloud(config=CONFIG, state_dir=folder) as cloud:
        yield cloud


def register(cloud: LocalCloud, name: str, key: str = "") -> RegistrationResult:
    settings = cloud.settings
    result = ProvisioningDeviceClient.create_from_symmetric_key(
        settings["PROVISIONING_HOST"],
        name,
        settings["PROVISIONING_ID_SCOPE"],
        key or derive_device_key(settings["PROVISIONING_GROUP_KEY"], name),
        server_verification_cert=Path(settings["CA_FILE"]).read_text(),
    ).register()
    assert result is not None
    return result


def test_a_device_enrols_with_what_the_settings_say(enrolling: LocalCloud) -> None:
    state = register(enrolling, "sn-1").registration_state

    assert (state.device_id, state.assigned_hub) == ("sn-1", enrolling.settings["IOT_HUB_DEVICE_HOST"])
    assert derive_device_key(enrolling.settings["PROVISIONING_GROUP_KEY"], "sn-1") in (
        enrolling.device_connection_string("sn-1")
    )
    assert enrolling.control.registration("sn-1")["enrollmentGroupId"] == "fleet"
    with pytest.raises(KeyError):
        enrolling.control.registration("sn-2")


def test_enrolments_are_made_over_the_control_api(enrolling: LocalCloud) -> None:
    key = new_key()
    attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": key, "secondaryKey": new_key()}}
    enrolling.control.put_enrolment("sn-3", {"attestation": attestation, "deviceId": "pump-3"})
    enrolling.control.set_provisioning_fault(429)
    assert register(enrolling, "sn-3", key).registration_state.device_id == "pump-3"

    path = "/provisioning/enrollments/sn-3"
    assert enrolling.control._call("GET", path)["deviceId"] == "pump-3"
    enrolling.control._call("DELETE", path)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        enrolling.control._call("GET", path)


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("PUT", "/provisioning/enrollments/sn-4", {}),
        ("PUT", "/provisioning/enrollments/sn-4", {"attestation": {"type": "tpm"}}),
        ("PUT", "/provisioning/enrollments/sn-4", {"attestation": "symmetricKey"}),
        (
            "PUT",
            "/provisioning/enrollments/sn-4",
            {"attestation": {"type": "symmetricKey"}, "initialTwin": "tags"},
        ),
        (
            "PUT",
            "/provisioning/enrollments/sn-4",
            {"attestation": {"type": "symmetricKey"}, "initialTwin": {"tags": 7}},
        ),
        ("PUT", "/provisioning/enrollmentGroups/g", {"attestation": {"type": "x509", "x509": {}}}),
        (
            "PUT",
            "/provisioning/enrollmentGroups/g",
            {"attestation": {"type": "x509", "x509": {"signingCertificates": {"primary": {}}}}},
        ),
        (
            "PUT",
            "/provisioning/enrollmentGroups/g",
            {"attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": "c2hvcnQ="}}},
        ),
        ("POST", "/provisioning-faults", {"status": 200}),
        ("POST", "/provisioning-faults", {"colour": "red"}),
    ],
)
def test_what_is_malformed_is_refused(enrolling: LocalCloud, method: str, path: str, fields: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        enrolling.control._call(method, path, fields)


def test_a_restart_keeps_the_groups_key_and_who_was_assigned(folder: Path, enrolling: LocalCloud) -> None:
    register(enrolling, "sn-5")
    before = {name: value for name, value in enrolling.settings.items() if name.startswith("PROVISIONING_")}
    assert len(before) == 3

    enrolling.stop()
    enrolling.start()

    assert {name: enrolling.settings[name] for name in before} == before
    assert enrolling.control.registration("sn-5")["count"] == 1
    assert register(enrolling, "sn-5").status == "assigned"
    assert enrolling.control.registration("sn-5")["count"] == 2
