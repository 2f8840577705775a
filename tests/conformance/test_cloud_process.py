"""The local cloud's processes: what they say when an app is broken, what they keep, what they leave behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from azure.data.tables import TableClient
from azure.storage.blob import BlobClient

from emulator.child import ROOT, ChildFailedError
from emulator.local import LocalCloud
from emulator.state_lock import CloudRunsError
from tests.support.cloud import SAMPLE_APP, Journal, sample_settings, write_config
from tests.support.waiting import wait_until


def write_app(folder: Path, source: str) -> Path:
    app = folder / "app"
    app.mkdir()
    (app / "function_app.py").write_text(source)
    return app


@pytest.fixture
def bare_cloud(cloud: LocalCloud) -> LocalCloud:
    """The shared cloud with no functions host."""
    cloud.stop_functions()
    return cloud


def test_an_app_that_fails_to_import_is_told_with_its_traceback(bare_cloud: LocalCloud, tmp_path: Path) -> None:
    app = write_app(tmp_path, "import azure.functions as func\n\nimport no_such_module\n")
    with pytest.raises(ChildFailedError, match="No module named 'no_such_module'") as failed:
        bare_cloud.start_functions(app)
    assert "line 3, in <module>" in str(failed.value)
    assert not bare_cloud.functions_running


def test_an_app_without_functions_is_told(bare_cloud: LocalCloud, tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match="no functions found"):
        bare_cloud.start_functions(tmp_path)


@pytest.mark.parametrize("missing", ["SINGLE_QUEUE", "TIMER_SCHEDULE"])
def test_a_setting_that_a_binding_needs_is_named_when_it_is_missing(
    bare_cloud: LocalCloud, tmp_path: Path, missing: str
) -> None:
    settings = sample_settings(Journal(tmp_path / "journal"))
    del settings[missing]
    with pytest.raises(ChildFailedError, match=f"'%{missing}%' does not resolve"):
        bare_cloud.start_functions(SAMPLE_APP, settings)


def test_a_batch_parameter_that_azures_worker_refuses_is_refused(bare_cloud: LocalCloud, tmp_path: Path) -> None:
    app = write_app(
        tmp_path,
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.event_grid_trigger(arg_name='events')\n"
        "def f(events: func.ServiceBusMessage) -> None: ...\n",
    )
    with pytest.raises(ChildFailedError, match="do not match the corresponding function parameter"):
        bare_cloud.start_functions(app)


def test_faults_and_throttles_refuse_nonsense(cloud: LocalCloud) -> None:
    url = cloud.settings["CONTROL_URL"]
    for body in ({}, {"kind": "explode"}, {"kind": "drop", "probability": 2}, {"kind": "drop", "x": 1}):
        assert requests.post(f"{url}/faults", json=body, timeout=10).status_code == 400
    assert requests.post(f"{url}/throttle", json={"state": "maybe"}, timeout=10).status_code == 400


def test_storage_keys_and_addresses_survive_a_restart(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with LocalCloud(config=config, state_dir=tmp_path / "state") as cloud:
        before, key = cloud.settings, cloud.host_key
        table = TableClient.from_connection_string(before["Storage"], "things")
        table.create_entity({"PartitionKey": "p", "RowKey": "r", "n": 1})
        BlobClient.from_connection_string(before["Storage"], "incoming", "b").upload_blob(b"kept")
    with LocalCloud(config=config, state_dir=tmp_path / "state") as cloud:
        assert cloud.settings == before
        assert cloud.host_key == key
        assert TableClient.from_connection_string(before["Storage"], "things").get_entity("p", "r")["n"] == 1
        blob = BlobClient.from_connection_string(before["Storage"], "incoming", "b")
        assert blob.download_blob().readall() == b"kept"


def test_a_second_cloud_over_the_same_folder_says_where_the_first_one_is_and_leaves_it_alone(tmp_path: Path) -> None:
    config, state = write_config(tmp_path), tmp_path / "state"
    with LocalCloud(config=config, state_dir=state) as first:
        table = TableClient.from_connection_string(first.settings["Storage"], "things")
        command = [sys.executable, "-m", "emulator", "--config", str(config), "--state", str(state)]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert (second.returncode, second.stdout) == (1, "")
        assert f"a local cloud runs already over {state}" in second.stderr
        assert f"`kill {os.getpid()}`" in second.stderr
        with pytest.raises(CloudRunsError):
            LocalCloud(config=config, state_dir=state).start()
        assert json.loads((state / "settings.json").read_text()) == first.settings
        table.create_entity({"PartitionKey": "p", "RowKey": "r", "n": 1})
    with LocalCloud(config=config, state_dir=state) as again:
        assert TableClient.from_connection_string(again.settings["Storage"], "things").get_entity("p", "r")["n"] == 1


def test_a_cloud_that_is_killed_leaves_its_folder_to_the_next_one(tmp_path: Path) -> None:
    """The next one waits for storage to be gone; two over one folder would write over each other's files."""
    config, state = write_config(tmp_path), tmp_path / "state"
    command = [sys.executable, "-m", "emulator", "--config", str(config), "--state", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert b"=" in parent.stdout.readline()
        parent.kill()
    with LocalCloud(config=config, state_dir=state):
        storages = [command for command in processes_of(state) if "azurite.js" in command]
        assert len(storages) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_running_however_the_parent_ends(tmp_path: Path, number: signal.Signals) -> None:
    config, state = write_config(tmp_path), tmp_path / "state"
    command = [sys.executable, "-m", "emulator", "--config", str(config), "--state", str(state)]
    with subprocess.Popen(
        as_in_the_background(command), cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert b"=" in parent.stdout.readline()
        assert processes_of(state), "a sanity check: the children are there"
        parent.send_signal(number)
        parent.wait(timeout=20)
    wait_until(lambda: not processes_of(state), what="children gone")


def as_in_the_background(command: list[str]) -> list[str]:
    """A shell starts its background jobs with SIGINT ignored, and Python then leaves it so."""
    return ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]


def processes_of(state: Path) -> list[str]:
    """Command lines of running processes that name this state folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [command] if str(state) in command else []
    return found
