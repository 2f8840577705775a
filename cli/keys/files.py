"""Metadata files and the policy, as the commands read and write them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from shared.domain.errors import DomainError
from shared.ports.errors import PortError
from shared.trust.ceremonies import CeremonyRefused, Owned, read_proposal
from shared.trust.policy import TrustPolicy
from shared.trust.policy_file import read_trust_policy

POLICY = Path(__file__).parents[2] / "trust.toml"

type Run = Callable[[argparse.Namespace], int]
type Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def guarded(run: Run) -> Run:
    """The command with every error that people can mend as one line, and exit status 1."""

    def guarded_run(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except (DomainError, PortError, OSError) as error:
            print(error, file=sys.stderr)
            return 1

    return guarded_run


def add_policy(parser: argparse.ArgumentParser) -> None:
    """The option that names the policy file."""
    parser.add_argument("--policy", type=Path, default=POLICY, help="trust.toml with thresholds and expiries")


def read_policy(arguments: argparse.Namespace) -> TrustPolicy:
    """The policy that ``--policy`` names.

    Raises:
        PolicyInvalid, OSError: It cannot be used.
    """
    return read_trust_policy(Path(arguments.policy).read_bytes())


def read_root_file(path: Path) -> Metadata[Root]:
    """The root in a file, signed or not.

    Raises:
        CeremonyRefused, OSError: It holds none.
    """
    return _named(path, lambda: read_proposal(path.read_bytes(), Root))


def read_targets_file(path: Path) -> Metadata[Targets]:
    """The targets role in a file, signed or not.

    Raises:
        CeremonyRefused, OSError: It holds none.
    """
    return _named(path, lambda: read_proposal(path.read_bytes(), Targets))


def read_owned_file(path: Path) -> Owned:
    """The root or the targets role in a file.

    Raises:
        CeremonyRefused, OSError: It holds neither.
    """
    try:
        kind = Metadata.from_bytes(path.read_bytes()).signed
    except RepositoryError as error:
        raise CeremonyRefused(f"{path} is no metadata file: {error}") from error
    return read_root_file(path) if isinstance(kind, Root) else read_targets_file(path)


def write_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Written beside and renamed, so that a file on a stick that is pulled out is whole or not there."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _named[T](path: Path, read: Callable[[], Metadata[T]]) -> Metadata[T]:  # type: ignore[type-var]
    try:
        return read()
    except CeremonyRefused as error:
        raise CeremonyRefused(f"{path}: {error.message}") from error
