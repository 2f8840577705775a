"""``groundswell audit``: export a campaign's audit log, and check an exported one without the service."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.audit_log import Checked, check_log, read_log
from cli.keys.files import guarded, write_file
from cli.service_api import ServiceApi, add_api_arguments, open_api
from cli.signing_keys import load_public_key
from shared.domain.audit import AuditRecord
from shared.wire.http_audit import view_audit_record

PAGE_SIZE = "200"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``audit`` and its subcommands."""
    audit = commands.add_parser("audit", help="export and check the audit logs of campaigns")
    actions = audit.add_subparsers(required=True, metavar="action")
    export = actions.add_parser("export", help="write a campaign's log as JSON lines")
    export.add_argument("campaign")
    export.add_argument("--out", type=Path, help="default: standard output")
    add_api_arguments(export)
    export.set_defaults(run=guarded(_run_export))
    verify = actions.add_parser("verify", help="check an exported log, offline")
    verify.add_argument("log", type=Path)
    verify.add_argument("--key", type=Path, action="append", required=True, help="public specs key (PEM); repeatable")
    verify.add_argument("--head", type=Path, help="a head kept earlier, which the log must still hold")
    verify.add_argument("--write-head", type=Path, help="keep the last sealed record here, for the next time")
    verify.set_defaults(run=guarded(_run_verify))


def export_log(campaign: str, api: ServiceApi) -> Iterator[bytes]:
    """The lines of a campaign's log.

    Raises:
        CallRefused: The service does not give it.
    """
    parameters = {"size": PAGE_SIZE}
    while True:
        page = api.get(f"campaigns/{campaign}/audit", parameters)
        for record in page["records"]:
            yield json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if not page["continuation"]:
            return
        parameters["continuation"] = page["continuation"]


def _run_export(arguments: argparse.Namespace) -> int:
    content = b"".join(export_log(arguments.campaign, open_api(arguments)))
    if arguments.out:
        write_file(arguments.out, content)
    else:
        sys.stdout.buffer.write(content)
    return 0


def _run_verify(arguments: argparse.Namespace) -> int:
    keys = [load_public_key(path) for path in arguments.key]
    known = _read_head(arguments.head) if arguments.head else None
    checked = check_log(list(read_log(arguments.log.read_bytes().splitlines())), keys, known=known)
    for line in _describe(checked):
        print(line)
    if arguments.write_head and checked.head is not None:
        write_file(arguments.write_head, view_audit_record(checked.head).model_dump_json().encode() + b"\n")
    return 0


def _read_head(path: Path) -> AuditRecord:
    [head] = read_log([path.read_bytes()])
    return head


def _describe(checked: Checked) -> Iterator[str]:
    last = checked.records[-1]
    yield (
        f"{last.entry.campaign}: {last.number} records are whole and in order, "
        f"{checked.verdicts} verdicts follow from their facts"
    )
    yield f"the last says: {last.entry.what} by {last.entry.who} at {last.entry.at.isoformat()}, {last.entry.after}"
    for number in checked.overtaken:
        record = checked.records[number - 1]
        yield f"record {number} was decided and not done, because another step came first: {record.entry.deed}"
    sealed = checked.head.number if checked.head else 0
    if sealed < last.number:
        yield f"sealed up to record {sealed}; what follows is chained only, until the next verdict seals it"
    else:
        yield "all of them are sealed"
