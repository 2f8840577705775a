"""``python -m cli local up``: the local cloud with the service running in it, on loopback only."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli import core_tools, own_device
from cli.keys import PUBLISHER_KEY
from cli.local_app import INDEX_BINS, PROJECT, machine_settings, wait_for_signal
from cli.local_keys import found_index
from emulator.local import LocalCloud
from emulator.state_lock import CloudRunsError
from shared.settings import AuthMode

CONFIG = PROJECT / "infra/local/cloud.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """The running local cloud and what the service in it was told.

    Attributes:
        settings: All settings of the function app, secrets included.
        root_json: The root of trust a device is born with.
    """

    cloud: LocalCloud
    settings: dict[str, str]
    root_json: Path

    @property
    def api(self) -> str:
        """Base URL of the service."""
        return f"{self.cloud.functions_url}/api"

    @property
    def publisher_key(self) -> Path:
        """The key file that artifacts are signed with here."""
        return self.root_json.with_name(f"{PUBLISHER_KEY}.pem")


@contextmanager
def local_stack(
    state_dir: Path, *, config: Path = CONFIG, app_settings: dict[str, str] | None = None
) -> Iterator[LocalStack]:
    """The local cloud with keys, an index and the service in it; everything is ended with the block.

    Args:
        state_dir: Keys, logs and the state of the cloud are kept here and used again by the next start.
        config: What the cloud has.
        app_settings: Settings that replace the defaults.
    """
    with LocalCloud(config=config, state_dir=state_dir / "cloud") as cloud:
        keys = state_dir / "keys"
        root_json = found_index(cloud.settings, directory=keys, bins=INDEX_BINS)
        own = {"KEYS_URI": cloud.settings["KEY_VAULT_URI"], **machine_settings(state_dir, root_json, config)}
        settings = {**cloud.settings, **own, **(app_settings or {})}
        stack = LocalStack(cloud=cloud, settings=settings, root_json=root_json)
        cloud.start_functions(PROJECT, settings)
        yield stack


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``local up``."""
    local = commands.add_parser("local", help="the local cloud").add_subparsers(required=True)
    up = local.add_parser("up", help="keep the local cloud and the service up, and print how to reach them")
    up.add_argument("--state", type=Path, default=PROJECT / ".local/emulator", help="folder for keys, logs and state")
    up.add_argument("--auth", choices=list(AuthMode), default=AuthMode.KEYS, help="how callers show who they are")
    up.set_defaults(run=_up)
    core_tools.add_parser(local)


def _up(arguments: argparse.Namespace) -> int:
    try:
        return _keep_up(arguments)
    except CloudRunsError as error:
        print(error, file=sys.stderr)
        return 1


def _keep_up(arguments: argparse.Namespace) -> int:
    with local_stack(arguments.state, app_settings={"AUTH_MODE": arguments.auth}) as stack:
        own_device.register(stack.settings)
        config = own_device.write_agent_config(
            arguments.state / own_device.DEVICE_ID,
            connection_string=stack.cloud.device_connection_string(own_device.DEVICE_ID),
            settings=stack.settings,
            api=stack.api,
            root_json=stack.root_json,
        )
        print(_how_to_reach(stack, config), flush=True)
        wait_for_signal()
    return 0


def _how_to_reach(stack: LocalStack, agent_config: Path) -> str:
    wanted = ("Storage", "ServiceBus", "IotHub", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CONTROL_URL")
    enrolling = [name for name in stack.settings if name.startswith("PROVISIONING_")]
    values = {name: stack.settings[name] for name in (*wanted, *enrolling)}
    values |= {"API": stack.api, "KEY": stack.cloud.host_key}
    values["PUBLISHER_KEY"] = os.path.relpath(stack.publisher_key)
    exports = "\n".join(f"export {name}='{value}'" for name, value in values.items())
    return (
        f"The local cloud and the service are up; Ctrl-C ends them.\n\n"
        f"For another terminal:\n\n{exports}\n\n"
        f"Artifacts need a publisher's signature, dropped before them; the index names this key:\n\n"
        f".venv/bin/python -m cli publisher sign ARTIFACT --key {os.path.relpath(stack.publisher_key)}\n\n"
        f"Devices connect with MQTT over TLS to {stack.settings['IOT_HUB_DEVICE_HOST']}:8883 "
        f"and trust {stack.settings['CA_FILE']}.\n"
        f"{own_device.DEVICE_ID} is registered; this runs it:\n\n"
        f".venv/bin/python -m agent --config {os.path.relpath(agent_config)}\n\n"
        f"Its root of trust is {os.path.relpath(stack.root_json)}. "
        f"Logs are in {os.path.relpath(stack.cloud.logs_dir)}."
    )
