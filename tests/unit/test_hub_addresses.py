"""Ports that stay free until the server that was given one listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from emulator import addresses
from emulator.addresses import AddressBook


def test_two_names_never_share_a_port_before_they_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "SERVER_PORTS", range(20_000, 20_004))
    book = AddressBook(tmp_path / "addresses.json")

    ports = {book.port(name) for name in ("blob", "queue", "table")}

    assert len(ports) == 3
    assert {AddressBook(tmp_path / "addresses.json").port(name) for name in ("blob", "queue", "table")} == ports


def test_a_port_that_was_taken_since_is_given_up(tmp_path: Path) -> None:
    port = AddressBook(tmp_path / "addresses.json").port("blob")

    with socket.create_server(("127.0.0.1", port)):
        assert AddressBook(tmp_path / "addresses.json").port("blob") != port
