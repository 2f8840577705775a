"""A root key on a PKCS#11 token, spoken to by the module's own interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from cli.__main__ import main
from cli.signing_keys import load_token, write_public_key
from tests.support.softhsm import LABEL, PIN, find_softhsm, make_token

PROJECT = Path(__file__).parents[2]
TOKEN = f"hsm:2?label={LABEL}"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A token in this process: the module reads its configuration once, when it is loaded."""
    found = find_softhsm(PROJECT / ".local/softhsm")
    if found is None:
        pytest.skip("no SoftHSM here, and Debian's packages cannot be reached")
    environment = dict(os.environ)
    try:
        make_token(tmp_path_factory.mktemp("hsm") / "token", *found)
        yield
    finally:
        for name in ("SOFTHSM2_CONF", "PYKCS11LIB"):
            os.environ.pop(name, None)
        os.environ |= environment


@pytest.fixture
def token(hsm: None, tmp_path: Path) -> Path:
    """A folder with the token's public key in ``token.pub`` and its PIN in ``pin``."""
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "token.pub").write_bytes(write_public_key(load_token(TOKEN, lambda _: PIN).public_key))
    return tmp_path


def run(*arguments: object) -> int:
    return main(["keys", *map(str, arguments)])


def propose(folder: Path) -> Path:
    for name in ("other", "targets", "snapshot", "timestamp"):
        assert run("new", folder / name, "--no-passphrase") == 0
    keys = {"targets": "targets", "snapshot": "snapshot", "timestamp": "timestamp"}
    options = [text for role, name in keys.items() for text in ("--key", f"{role}={folder / name}.pub")]
    roots = ["--key", f"root={folder / 'token.pub'}", "--key", f"root={folder / 'other.pub'}"]
    path = folder / "1.root.json"
    assert run("root", "--out", path, *roots, *options, "--yes-weaken") == 0
    return path


def test_root_signed_with_a_token_and_a_key_file(token: Path) -> None:
    path = propose(token)
    assert run("sign", path, "--key", TOKEN, "--passphrase-file", token / "pin") == 0
    assert run("sign", path, "--key", token / "other") == 0
    root = Metadata[Root].from_file(str(path))
    root.verify_delegate("root", root)


@pytest.mark.parametrize(("uri", "complaint"), [("hsm:7", "hsm:7"), ("hsm:2?label=lost", "lost")])
def test_token_or_key_that_is_not_there_is_named(
    token: Path, capsys: pytest.CaptureFixture[str], uri: str, complaint: str
) -> None:
    path = propose(token)
    assert run("sign", path, "--key", uri, "--passphrase-file", token / "pin") == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert "the token does not give the key" in error


def test_token_without_its_module_says_what_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    path = propose_without_token(tmp_path)
    assert run("sign", path, "--key", "hsm:2") == 1
    assert "set PYKCS11LIB to the token's PKCS#11 module" in capsys.readouterr().err


def propose_without_token(folder: Path) -> Path:
    assert run("new", folder / "token", "--no-passphrase") == 0
    return propose(folder)
