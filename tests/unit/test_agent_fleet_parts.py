"""Credentials, behaviours and restarts: the small parts of fleet and agent."""

from __future__ import annotations

import base64
import hmac
import json
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from agent.adapters.restart import CommandRestarter
from agent.fleet.__main__ import EXIT_CONFIG, main
from agent.fleet.behaviour import OK, Behaviour, fails_install, offline_until, parse_behaviour, slow
from agent.fleet.credentials import read_credentials
from agent.selftest import TelltaleFinder

KEY = base64.b64encode(b"k" * 32).decode()


def test_a_token_is_signed_for_the_device_at_the_hub_even_behind_a_gateway() -> None:
    text = f"HostName=hub.example;DeviceId=a#b;SharedAccessKey={KEY};GatewayHostName=127.0.0.1:9883"
    credentials = read_credentials(text)

    fields = parse_qs(credentials.new_token().removeprefix("SharedAccessSignature "))
    signed = f"hub.example%2Fdevices%2Fa%23b\n{fields['se'][0]}".encode()
    assert fields["sr"] == ["hub.example/devices/a#b"]
    assert fields["sig"] == [base64.b64encode(hmac.digest(b"k" * 32, signed, "sha256")).decode()]
    assert (credentials.host, credentials.port) == ("127.0.0.1", 9883)
    assert KEY not in repr(credentials)


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("ok", OK),
        ("slow:2.5", slow(2.5)),
        ("fails_install:install_failed", fails_install("install_failed")),
        ("offline_until:dawn", offline_until("dawn")),
    ],
)
def test_behaviours_are_read_from_text(text: str, behaviour: Behaviour) -> None:
    assert parse_behaviour(text) == behaviour


@pytest.mark.parametrize("text", ["", "fast", "slow:soon"])
def test_what_is_no_behaviour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"BehaviourKind|float"):
        parse_behaviour(text)


def test_a_fleet_without_devices_is_refused_by_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps({"service_url": "http://x", "root_file": "r", "devices": [{"connection_strings": []}]}))

    assert main(["--config", str(path)]) == EXIT_CONFIG
    assert "devices.0.connection_strings" in capsys.readouterr().err


def test_the_telltale_is_found_across_the_edges_of_pieces() -> None:
    finder = TelltaleFinder()
    for piece in (b"xx groundswell-self", b"test: ", b"fai", b"l xx"):
        assert not finder.is_found
        finder.feed(piece)

    assert finder.is_found


def test_a_device_that_does_not_restart_ends_the_process_with_a_temporary_failure(tmp_path: Path) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("first\n")
    restarter = CommandRestarter(command=(sys.executable, "-c", "exit(1)"), boot_id_file=boot_id, grace_s=0)

    assert restarter.boot_id == "first"
    with pytest.raises(SystemExit) as caught:
        restarter.restart()
    assert caught.value.code == 75
