"""``groundswell publisher sign``: the signature that goes into ``incoming`` beside an artifact."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cli.signing_keys import add_key_arguments, load_signer
from shared.domain.artifacts.inspection import inspect
from shared.domain.artifacts.naming import Description, choose_naming
from shared.domain.errors import DomainError
from shared.domain.packages import Package
from shared.trust.signature_files import write_signature_file
from shared.wire.descriptions import read_description
from shared.wire.sidecars import SIGNATURE

_CHUNK_BYTES = 4 * 1024 * 1024


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``publisher`` and its subcommands."""
    publisher = commands.add_parser("publisher", help="sign artifacts before they are dropped")
    actions = publisher.add_subparsers(required=True, metavar="action")
    sign = actions.add_parser("sign", help="write <artifact>.sig; drop it first, then the artifact")
    sign.add_argument("artifact", type=Path)
    add_key_arguments(sign)
    sign.add_argument("--name", default="", help="of the package, where the artifact does not say it")
    sign.add_argument("--version", default="", help="of the package, where the artifact does not say it")
    sign.add_argument("--compatibility", default="", help='JSON, such as {"hardware": ["gateway-2"]}')
    sign.add_argument("--out", type=Path, help="default: <artifact>.sig")
    sign.set_defaults(run=_run_sign)


def describe_artifact(path: Path, described: Description) -> Package:
    """The package that the service will see in a file, looked into as the service does.

    Raises:
        DomainError: It cannot become a package; the message says why.
    """
    inspection = inspect(_chunks(path))
    naming = choose_naming(inspection.finding, [described], "")
    return Package(
        name=naming.name,
        version=naming.version,
        kind=inspection.finding.kind,
        length_bytes=inspection.length_bytes,
        sha256=inspection.sha256,
        created=datetime.now(UTC),
        compatibility=naming.compatibility,
    )


def _run_sign(arguments: argparse.Namespace) -> int:
    try:
        package = describe_artifact(arguments.artifact, _described(arguments))
        content = write_signature_file(package, load_signer(arguments))
        out = arguments.out or arguments.artifact.with_name(arguments.artifact.name + SIGNATURE)
        out.write_bytes(content)
    except (DomainError, OSError) as error:
        print(f"{arguments.artifact}: {error}", file=sys.stderr)
        return 1
    fits = json.dumps({key: list(values) for key, values in package.compatibility.items()}) or "every device"
    print(f"{out}: {package.name} {package.version} ({package.kind}), {package.length_bytes} bytes, for {fits}")
    return 0


def _described(arguments: argparse.Namespace) -> Description:
    fields = {"name": arguments.name, "version": arguments.version}
    if arguments.compatibility:
        compatibility = json.dumps({"compatibility": json.loads(arguments.compatibility)})
        read = read_description(compatibility.encode(), "--compatibility")
        return Description(origin="the command line", compatibility=read.compatibility, **fields)
    return Description(origin="the command line", **fields)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
