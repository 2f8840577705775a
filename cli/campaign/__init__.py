"""``groundswell campaign``: campaigns from files, and what operators do to them, over the HTTP API."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.campaign.acting import add_actions
from cli.campaign.filed import FileRunner
from cli.campaign.files import read_campaign_file
from cli.campaign.screen import campaign_lines, stop_lines, summary_lines, unreadable_lines
from cli.keys.files import guarded
from cli.service_api import add_api_arguments, open_api


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``campaign`` and its subcommands."""
    campaign = commands.add_parser("campaign", help="plan and apply campaigns from files, look at them, act on them")
    actions = campaign.add_subparsers(required=True, metavar="action")
    for name, help_text in (
        ("plan", "say what a file would change and what it would take; change nothing"),
        ("apply", "create the campaigns of a file that are not there yet"),
    ):
        filed = actions.add_parser(name, help=help_text)
        filed.add_argument("file", type=Path)
        add_api_arguments(filed)
        filed.set_defaults(run=guarded(_run_plan if name == "plan" else _run_apply))
    listing = actions.add_parser("list", help="list campaigns, the newest first")
    add_api_arguments(listing)
    listing.set_defaults(run=guarded(_run_list))
    show = actions.add_parser("show", help="show a campaign with its waves")
    show.add_argument("campaign")
    add_api_arguments(show)
    show.set_defaults(run=guarded(_run_show))
    add_actions(actions)


def _run_plan(arguments: argparse.Namespace) -> int:
    # The file first: what is wrong with it needs no service.
    read = read_campaign_file(arguments.file)
    return 0 if FileRunner(api=open_api(arguments), read=read, say=print).plan() else 1


def _run_apply(arguments: argparse.Namespace) -> int:
    read = read_campaign_file(arguments.file)
    return 0 if FileRunner(api=open_api(arguments), read=read, say=print).apply() else 1


def _run_list(arguments: argparse.Namespace) -> int:
    api, parameters = open_api(arguments), {"size": "200"}
    found, unreadable = [], []
    while True:
        page = api.get("campaigns", parameters)
        found += page["campaigns"]
        unreadable += page.get("unreadable", ())
        if not page["continuation"]:
            break
        parameters["continuation"] = page["continuation"]
    newest_first = sorted(found, key=lambda campaign: str(campaign["created_at"]), reverse=True)
    stop = stop_lines(api.get("stop", {}))
    print("\n".join([*stop, *summary_lines(newest_first), *unreadable_lines(unreadable)]))
    return 0


def _run_show(arguments: argparse.Namespace) -> int:
    print("\n".join(campaign_lines(open_api(arguments).get(f"campaigns/{arguments.campaign}"))))
    return 0
