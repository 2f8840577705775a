"""docs/trust.md keeps its word: its commands run as they stand, and every "cannot" has the tests it names."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from securesystemslib.signer import CryptoSigner

from shared.trust.signers import KeyRole
from tests.support.azure_index_reader import refresh_from_storage

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/trust.md").read_text()
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z_]+)`")
BLOCK = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)


def rows() -> list[list[str]]:
    table = PAGE.partition("| stolen | can | cannot | shown by |")[2]
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]


def test_every_cannot_names_its_tests() -> None:
    assert len(rows()) >= 12
    for row in rows():
        assert NAMED.findall(row[3]), row[0]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_tests_that_the_page_names_exist(file: str, name: str) -> None:
    tree = ast.parse((PROJECT / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture
def storage(storage_connection: str) -> Iterator[str]:
    yield storage_connection
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        service.delete_container("metadata")
    with TableServiceClient.from_connection_string(storage_connection) as tables:
        tables.delete_table("packages")


def test_ceremony_and_rotation_run_as_written(storage: str, tmp_path: Path) -> None:
    keys = tmp_path / "online-keys"
    keys.mkdir()
    for role in KeyRole:
        (keys / f"{role}.pem").write_bytes(CryptoSigner.generate_ecdsa().private_bytes)
    (tmp_path / "words").write_text("correct horse\n")
    # The bins' number makes the index small; a person would be asked for the passphrase.
    (tmp_path / "trust.toml").write_text("bins = 4\n")
    environment = os.environ | {
        "STORAGE": storage,
        "KEYS_URI": f"file:{keys}",
        "PYTHONPATH": str(PROJECT),
    }
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) >= 6
    for block in blocks:
        script = re.sub(r"groundswell (keys (?:new|sign) \S+)", r"groundswell \1 --passphrase-file words", block)
        script = re.sub(
            r"groundswell (keys (?:root|targets|publish|rotate)) ", r"groundswell \1 --policy trust.toml ", script
        )
        function = f'set -e\ngroundswell() {{ "{sys.executable}" -m cli "$@"; }}\n'
        command = ["bash", "-c", function + script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"

    updater = refresh_from_storage(storage, (tmp_path / "1.root.json").read_bytes(), tmp_path / "device")
    assert updater.get_targetinfo("gateway-fw/1.0.0/gateway-fw-1.0.0.img") is None
    assert (tmp_path / "device/root_history/2.root.json").exists()
