"""``python -m agent --config FILE``; with ``check`` it only validates, with ``status`` it tells what it runs."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.adapters.journal_file import FileJournal
from agent.alone import only_agent
from agent.config import AgentConfig, ConfigInvalid, find_missing, parse_connection_string, read_config
from agent.connecting import Connector, find_assignment
from agent.failure_log import LOG_FORMAT
from agent.inbox import Inbox
from agent.install.slots import FolderSlots
from agent.ports import Reassigned, StopRequested
from agent.wiring import build_worker, failure_log_file
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h, which service managers can be told not to restart after."""


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 after SIGTERM or SIGINT, 78 for a configuration that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        config = read_config(options.config)
        if missing := find_missing(config):
            raise ConfigInvalid("\n".join(f"{options.config}: {complaint}" for complaint in missing))
        command: Callable[[AgentConfig], int] = _COMMANDS[options.command]
        return command(config)
    except (ConfigInvalid, DomainError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG


def run(config: AgentConfig) -> int:
    """Be the agent until told to stop."""
    logging.basicConfig(level=config.log_level, format=LOG_FORMAT)
    for chatty in ("azure", "paho", "urllib3", "tuf", "securesystemslib"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    inbox = Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.put(StopRequested()))
    with only_agent(config.state_dir):
        if (file := failure_log_file(config)) is not None:
            logging.getLogger().addHandler(file.handler())
        _serve(config, inbox)
    return 0


def _serve(config: AgentConfig, inbox: Inbox) -> None:
    """Work as whatever device this is, until told to stop."""
    connector = Connector(config)
    _judge_first(config, inbox, connector)
    while (hub := connector.find_link(inbox)) is not None:
        try:
            return build_worker(config, inbox, hub).run()
        except Reassigned as news:
            logging.getLogger("agent").warning("%s", news)
    return None


def _judge_first(config: AgentConfig, inbox: Inbox, connector: Connector) -> None:
    """Bring a switch to its end before asking who this is, where nobody knows: that slot may be why nobody answers."""
    memory = FileJournal(config.state_dir / "journal.json").read()
    if memory.pending is not None and not connector.is_assigned:
        build_worker(config, inbox, connector.make_blind_link(DeviceId(memory.device))).judge()


def check(config: AgentConfig) -> int:
    """Say that the configuration is sound."""
    enrolled = config.dps.registration_id if config.dps else ""
    sys.stdout.write(f"{config.device_id or enrolled}: the configuration is sound\n")
    return 0


def status(config: AgentConfig) -> int:
    """Print as JSON what the device runs and what it is about to do."""
    slots, memory = FolderSlots(top=config.slots), FileJournal(config.state_dir / "journal.json").read()
    active = slots.active() if slots.is_laid_out() else ""
    assigned = find_assignment(config)
    report = {
        "device": assigned.device if assigned else config.device_id or "",
        "hub": assigned.hub if assigned else _hub_of(config),
        "slot": active,
        "installed": dict(slots.installed(active)) if active else config.installed,
        "pending": None if memory.pending is None else memory.pending.phase.value,
        "sequence": memory.highest_sequence,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0


def _hub_of(config: AgentConfig) -> str:
    text = config.connection_string.get_secret_value() if config.connection_string else ""
    return parse_connection_string(text).get("HostName", "")


_COMMANDS = {"run": run, "check": check, "status": status}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent", description="Keeps one device up to date.")
    parser.add_argument("command", nargs="?", choices=sorted(_COMMANDS), default="run", help="what to do (run)")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON or TOML, see docs/agent.md")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
