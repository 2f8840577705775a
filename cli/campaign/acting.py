"""``groundswell campaign <action>``: what operators do to a campaign, one row a command."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.campaign.screen import campaign_lines
from cli.keys.files import Actions, guarded
from cli.service_api import add_api_arguments, open_api
from shared.domain.steps_by_operators import OperatorAction

A = OperatorAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An action as the command line offers it.

    Attributes:
        fields: What its body may hold besides a remark: field to whether it must be said.
    """

    help: str
    fields: Mapping[str, bool]


_PLAN = {"plan_sha256": False}
COMMANDS: Mapping[OperatorAction, Command] = {
    A.APPROVE: Command(help="approve what it is about to do; see `show`", fields={"wave": False, **_PLAN}),
    A.START: Command(help="start one before its time", fields=_PLAN),
    A.PAUSE: Command(help="let it offer nothing new", fields={}),
    A.RESUME: Command(help="let a paused one go on; accepts what had failed", fields=_PLAN),
    A.SKIP_WAVE: Command(help="leave a wave out", fields={"wave": True}),
    A.RETRY_FAILED: Command(help="try devices again that failed or were silent", fields={}),
    A.CANCEL: Command(help="end it; devices that have begun may finish", fields={}),
    A.FORCE_CANCEL: Command(help="end it, and take the offers of devices that have begun", fields={}),
    A.REVERT: Command(help="give the devices that took the package their former one back", fields={}),
}
_FIELDS: Mapping[str, dict[str, Any]] = {
    "wave": {"type": int, "help": "number of the wave, from 1"},
    "plan_sha256": {"help": "only if this is still its plan", "metavar": "DIGEST"},
}


def add_actions(actions: Actions) -> None:
    """Register a subcommand for each action."""
    for action, command in COMMANDS.items():
        parser = actions.add_parser(action, help=command.help)
        parser.add_argument("campaign")
        parser.add_argument("--remark", default="", help="kept in the audit log")
        for field, is_required in command.fields.items():
            parser.add_argument(f"--{field.replace('_', '-')}", dest=field, required=is_required, **_FIELDS[field])
        add_api_arguments(parser)
        parser.set_defaults(run=guarded(_run), action=action)


def _run(arguments: argparse.Namespace) -> int:
    said = {field: getattr(arguments, field) for field in ("remark", *COMMANDS[arguments.action].fields)}
    path = f"campaigns/{arguments.campaign}/{arguments.action}"
    answer = open_api(arguments).do("POST", path, {field: value for field, value in said.items() if value})
    print("\n".join(campaign_lines(answer)))
    return 0
