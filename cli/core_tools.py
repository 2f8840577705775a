"""``groundswell local core-tools``: what the official emulators do not have, for running under Functions Core Tools.

Not run together with them where it was written: that needs containers (docs/core-tools.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from cli.local_app import INDEX_BINS, PROJECT, machine_settings, wait_for_signal
from cli.local_keys import found_index
from emulator.eventhub.carry import carrying
from emulator.local import LocalCloud
from emulator.state_lock import CloudRunsError
from emulator.storage.resources import make_containers, make_tables

CONFIG = PROJECT / "infra/core-tools/cloud.json"
TABLE = PROJECT / "infra/local/cloud.json"
SAMPLE = PROJECT / "local.settings.sample.json"
HUB = "twin-changes"
_ACCOUNT = "devstoreaccount1"
_STORAGE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_STORAGE = (
    f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_STORAGE_KEY};"
    f"BlobEndpoint=http://127.0.0.1:10000/{_ACCOUNT};QueueEndpoint=http://127.0.0.1:10001/{_ACCOUNT};"
    f"TableEndpoint=http://127.0.0.1:10002/{_ACCOUNT};"
)
_BUS_KEY = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
OFFICIAL = {
    "AzureWebJobsStorage": _STORAGE,
    "Storage": _STORAGE,
    "ServiceBus": f"Endpoint=sb://127.0.0.1;{_BUS_KEY}",
    "EventHub": f"Endpoint=sb://127.0.0.2;{_BUS_KEY}",
}
"""How compose.yaml's emulators are reached; these names and keys are theirs, public and fixed."""

FROM_THE_PLATFORM = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""What App Service would put into the app's environment, and how to trust our hub and vault."""


def prepare(cloud: Mapping[str, str], official: Mapping[str, str], state: Path) -> dict[str, str]:
    """Containers, tables, keys and index in the official storage; the app's settings.

    Args:
        cloud: Settings of the local cloud, which has the hub, the topics and the vault.
        state: Folder for the owners' keys and the ticket keys.
    """
    settings = {**cloud, **official}
    storage = json.loads(TABLE.read_text())["storage"]
    asyncio.run(_make_storage(settings["Storage"], storage["containers"], storage["tables"]))
    root = found_index(settings, directory=state / "keys", bins=INDEX_BINS)
    own = {
        "KEYS_URI": cloud["KEY_VAULT_URI"],
        "FUNCTIONS_WORKER_RUNTIME": "python",
        **machine_settings(state, root, CONFIG),
    }
    sample = json.loads(SAMPLE.read_text())["Values"]
    wanted = {name: text for name, text in sample.items() if not text.startswith("<")} | settings | own
    return {name: wanted[name] for name in (*sample, *FROM_THE_PLATFORM) if name in wanted}


async def _make_storage(connection_string: str, containers: list[str], tables: list[str]) -> None:
    await asyncio.gather(make_containers(connection_string, containers), make_tables(connection_string, tables))


def write_settings(path: Path, settings: Mapping[str, str], *, mode: str) -> None:
    """Write them for Core Tools, readable by this user only.

    Args:
        mode: ``x`` to make the file, ``w`` to replace one.

    Raises:
        FileExistsError: Settings are there, and are not to be replaced.
    """
    document = {"IsEncrypted": False, "Values": dict(settings), "Host": {"LocalHttpPort": 7071}}
    with path.open(mode) as file:
        path.chmod(0o600)
        file.write(json.dumps(document, indent=2) + "\n")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``core-tools`` among the commands of ``local``."""
    command = commands.add_parser("core-tools", help="what the official emulators lack, and settings for Core Tools")
    command.add_argument("--state", type=Path, default=PROJECT / ".local/core-tools", help="folder for keys and state")
    command.add_argument("--settings", type=Path, default=PROJECT / "local.settings.json", help="file to write")
    command.add_argument("--replace", action="store_const", const="w", default="x", dest="mode", help="overwrite it")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        with LocalCloud(config=CONFIG, state_dir=arguments.state / "cloud") as cloud:
            settings = prepare(cloud.settings, OFFICIAL, arguments.state)
            write_settings(arguments.settings, settings, mode=arguments.mode)
            return _stay(cloud.settings["EventHub"], settings["EventHub"], arguments.settings)
    except CloudRunsError as error:
        print(error, file=sys.stderr)
    except FileExistsError:
        print(f"{arguments.settings} is there already: name another file, or add --replace", file=sys.stderr)
    return 1


def _stay(ours: str, official: str, written: Path) -> int:
    # Installed for development only, and wanted by nobody else.
    from emulator.eventhub.official import EventHubSink  # noqa: PLC0415

    with closing(EventHubSink(official, HUB)) as sink, carrying(ours, HUB, sink):
        print(f"{written} is written: start `func start` in another terminal. Ctrl-C ends the rest.", flush=True)
        wait_for_signal()
    return 0
