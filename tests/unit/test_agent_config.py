"""The configuration file, and what the command line says about a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import EXIT_CONFIG, main
from agent.config import ConfigInvalid, read_config
from agent.enrolment.assignment_file import AssignmentFile, make_assignment
from tests.support.certificates import make_certificate

KEY = "c2VjcmV0"
DEVICE_KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="


def good(folder: Path) -> dict[str, Any]:
    (folder / "root.json").write_text("{}")
    return {
        "connection_string": f"HostName=hub.example;DeviceId=dev-1;SharedAccessKey={KEY}",
        "service_url": "http://127.0.0.1:7071/api",
        "root_file": "root.json",
        "state_dir": "state",
        "properties": {"hardware": "rev-b"},
    }


def written(folder: Path, document: object) -> Path:
    path = folder / "agent.json"
    path.write_text(json.dumps(document))
    return path


def test_a_sound_file_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, good(tmp_path)))

    assert config.device_id == "dev-1"
    assert config.root_file == tmp_path / "root.json"
    assert config.download.index_attempts * config.download.retry_longest_s > config.download.give_up_after_s
    assert config.slots == tmp_path / "state/slots"
    assert KEY not in repr(config)


def test_toml_is_read_too(tmp_path: Path) -> None:
    good(tmp_path)
    path = tmp_path / "agent.toml"
    path.write_text(
        'connection_string = "HostName=h;DeviceId=d;SharedAccessKey=k"\nservice_url = "https://s/api"\n'
        'root_file = "root.json"\nstate_dir = "state"\n[health]\ncommand = ["true"]\n'
    )

    assert read_config(path).health.command == ("true",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"service_url": "ftp://x"}, "service_url"),
        ({"state_dir": None}, "state_dir"),
        ({"download": {"attempts": 0}}, "download.attempts"),
        ({"hub": {"keep_alive_s": 2000}}, "hub.keep_alive_s"),
        ({"colour": "red"}, "colour"),
        ({"report_states": ["asleep"]}, "report_states"),
        ({"restart": {"mode": "command"}}, "restart"),
        ({"connection_string": "HostName=h;DeviceId=d"}, "SharedAccessKey"),
        ({"connection_string": f"HostName=h;DeviceId=a b;SharedAccessKey={KEY}"}, "device id"),
        ({"certificate_file": "d.pem"}, "certificate_file and certificate_key_file go together"),
        ({"certificate_file": "d.pem", "certificate_key_file": "d.key"}, "take one"),
    ],
)
def test_a_wrong_field_is_named_and_no_secret_is_told(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigInvalid, match=complaint) as caught:
        read_config(written(tmp_path, good(tmp_path) | change))

    assert KEY not in str(caught.value)


def test_check_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, good(tmp_path))
    assert main(["check", "--config", str(path)]) == 0

    (tmp_path / "root.json").unlink()
    assert main(["check", "--config", str(path)]) == EXIT_CONFIG
    path.write_text("{")
    assert main(["check", "--config", str(path)]) == EXIT_CONFIG

    assert "root_file: there is no file" in capsys.readouterr().err


def test_status_tells_what_runs_and_lays_nothing_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, good(tmp_path) | {"installed": {"engine": "1.0.0"}})

    assert main(["status", "--config", str(path)]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["slot"], told["installed"]) == ("", {"engine": "1.0.0"})
    assert not list(tmp_path.rglob("installed.json"))


def enrolling(folder: Path, **changes: Any) -> dict[str, Any]:
    """A configuration of a device that enrols with DPS."""
    dps = {"id_scope": "0ne00012345", "registration_id": "sn-17", "symmetric_key": DEVICE_KEY} | changes
    named = {name: value for name, value in good(folder).items() if name != "connection_string"}
    return named | {"dps": {name: value for name, value in dps.items() if value is not None}}


def test_scope_registration_and_key_stand_for_a_connection_string(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, enrolling(tmp_path, ca_file="ca.pem"))
    config = read_config(path)

    assert config.device_id is None
    assert config.dps is not None
    assert config.dps.provisioning_host == "global.azure-devices-provisioning.net"
    assert config.dps.ca_file == tmp_path / "ca.pem"
    assert DEVICE_KEY not in repr(config)
    assert main(["check", "--config", str(path)]) == EXIT_CONFIG
    assert "dps.ca_file: there is no file" in capsys.readouterr().err
    (tmp_path / "ca.pem").touch()
    assert main(["check", "--config", str(path)]) == 0
    assert capsys.readouterr().out.startswith("sn-17: ")

    assert main(["status", "--config", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["device"], told["hub"]) == ("", "")
    file = AssignmentFile(tmp_path / "state/assignment.json", ("0ne00012345", "sn-17"))
    (tmp_path / "state").mkdir()
    file.write(make_assignment("one.azure-devices.net", "pump-17"))
    assert main(["status", "--config", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["device"], told["hub"]) == ("pump-17", "one.azure-devices.net")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id_scope": "0ne/1"}, "dps.id_scope"),
        ({"registration_id": "no spaces"}, "registration id"),
        ({"symmetric_key": "c2hvcnQ="}, "16 to 64 bytes"),
        ({"symmetric_key": None}, "either a symmetric_key or the certificate"),
        ({"provisioning_host": "https://dps"}, "dps.provisioning_host"),
        ({"retry_initial_s": 0}, "dps.retry_initial_s"),
        ({"group_key": DEVICE_KEY}, "dps.group_key"),
    ],
)
def test_a_wrong_field_of_dps_is_named_and_no_secret_is_told(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigInvalid, match=complaint) as caught:
        read_config(written(tmp_path, enrolling(tmp_path, **change)))
    assert DEVICE_KEY not in str(caught.value)


def test_a_device_knows_its_hub_or_asks_for_it_and_shows_one_credential(tmp_path: Path) -> None:
    both = good(tmp_path) | enrolling(tmp_path)
    with pytest.raises(ConfigInvalid, match="either connection_string or dps"):
        read_config(written(tmp_path, both))
    neither = {name: value for name, value in good(tmp_path).items() if name != "connection_string"}
    with pytest.raises(ConfigInvalid, match="either connection_string or dps"):
        read_config(written(tmp_path, neither))
    files = {"certificate_file": "d.pem", "certificate_key_file": "d.key"}
    with pytest.raises(ConfigInvalid, match="either a symmetric_key or the certificate"):
        read_config(written(tmp_path, enrolling(tmp_path) | files))
    assert read_config(written(tmp_path, enrolling(tmp_path, symmetric_key=None) | files)).certificate is not None


def test_a_device_with_a_certificate_needs_no_key_and_check_looks_at_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {
        "connection_string": "HostName=h;DeviceId=dev-1",
        "certificate_file": "dev-1.pem",
        "certificate_key_file": "dev-1.key",
    }
    path = written(tmp_path, good(tmp_path) | change)
    assert read_config(path).certificate_file == tmp_path / "dev-1.pem"
    assert main(["check", "--config", str(path)]) == EXIT_CONFIG
    assert "certificate_key_file: there is no file" in capsys.readouterr().err

    for name in ("dev-1.pem", "dev-1.key"):
        (tmp_path / name).write_text("no certificate")
    assert main(["check", "--config", str(path)]) == EXIT_CONFIG
    assert "certificate_file: it and its key cannot be used" in capsys.readouterr().err

    certificate, key = make_certificate(tmp_path, "dev-1")
    assert (certificate, key) == (tmp_path / "dev-1.pem", tmp_path / "dev-1.key")
    assert main(["check", "--config", str(path)]) == 0
