"""``groundswell devices derive-key``, as whoever makes devices runs it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cli.__main__ import main

GROUP = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
REGISTRATION, DERIVED = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
"""Of Microsoft's documents."""


def test_the_group_key_comes_from_standard_input_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{GROUP}\n"))
    assert main(["devices", "derive-key", REGISTRATION]) == 0
    assert capsys.readouterr().out == f"{DERIVED}\n"

    (tmp_path / "group.key").write_text(f"{GROUP}\n")
    assert main(["devices", "derive-key", REGISTRATION, "--group-key", str(tmp_path / "group.key")]) == 0
    assert capsys.readouterr().out == f"{DERIVED}\n"


@pytest.mark.parametrize(
    ("key", "registration", "complaint"),
    [("too short", "sn-1", "base64 of 16 to 64 bytes"), (GROUP, "sn 1", "no registration id")],
)
def test_what_cannot_be_used_is_named_and_no_key_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, registration: str, complaint: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(key))
    assert main(["devices", "derive-key", registration]) == 1
    told = capsys.readouterr()
    assert complaint in told.err
    assert (told.out, key in told.err) == ("", False)
