"""The agent's index client by itself, with the three commands by which the TUF conformance suite drives a client.

``python -m agent.index_cli --metadata-dir DIR init ROOT``, then ``refresh`` and ``download``; see docs/agent-cli.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import requests
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Root

from agent.adapters.clock import SystemClock
from agent.adapters.reference_time import ReferenceTime
from agent.adapters.tuf_index import TufIndex

ROOT_FILE = "root.json"
# No ``.json``: whoever looks into the folder takes every such file for metadata.
TIME_FILE = ".reference-time"


class CommandFailed(Exception):
    """The command could not do what it was asked; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 when all was verified, 1 otherwise."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], None] = options.run
        command(options)
    except (RepositoryError, DownloadError, requests.RequestException, OSError, CommandFailed) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def init(options: argparse.Namespace) -> None:
    """Begin with a trusted root, and forget what was known before.

    Raises:
        RepositoryError: The file is no root.
    """
    content = options.trusted_root.read_bytes()
    Metadata[Root].from_bytes(content)
    folder: Path = options.metadata_dir
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob("*.json"), *folder.glob("root_history/*.json"), folder / TIME_FILE):
        path.unlink(missing_ok=True)
    (folder / ROOT_FILE).write_bytes(content)


def refresh(options: argparse.Namespace) -> None:
    """Bring the top-level metadata up to date.

    Raises:
        RepositoryError: Something must not be believed.
        DownloadError: Something could not be fetched.
    """
    _index(options).make_updater().refresh()


def download(options: argparse.Namespace) -> None:
    """Find a target, fetch it, and keep it only if it is the signed one.

    Raises:
        CommandFailed: The index names no such target.
    """
    updater = _index(options).make_updater()
    target = updater.get_targetinfo(options.target_name)
    if target is None:
        raise CommandFailed(f"the index names no {options.target_name}")
    path = options.target_dir / quote(options.target_name, "")
    if updater.find_cached_target(target, str(path)) is None:
        updater.download_target(target, str(path), options.target_base_url)


def _index(options: argparse.Namespace) -> TufIndex:
    folder: Path = options.metadata_dir
    return TufIndex(
        folder=folder,
        base_url=options.metadata_url,
        root=(folder / ROOT_FILE).read_bytes(),
        http=requests.Session(),
        time=ReferenceTime(SystemClock(), folder / TIME_FILE),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent.index_cli", description=__doc__)
    parser.add_argument("--metadata-dir", type=Path, required=True, help="where trusted metadata is kept")
    parser.add_argument("--metadata-url", help="base URL of the repository's metadata")
    parser.add_argument("--target-name", help="path of the target in the index")
    parser.add_argument("--target-base-url", help="base URL of the targets")
    parser.add_argument("--target-dir", type=Path, help="where the target is kept")
    commands = parser.add_subparsers(required=True, metavar="command")
    begin = commands.add_parser("init", help="begin with a trusted root")
    begin.add_argument("trusted_root", type=Path)
    begin.set_defaults(run=init)
    commands.add_parser("refresh", help="bring the metadata up to date").set_defaults(run=refresh)
    commands.add_parser("download", help="find, fetch and verify a target").set_defaults(run=download)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
