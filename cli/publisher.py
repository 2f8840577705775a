"""``groundswell publisher``: sign what goes into ``incoming``, and look at such a signature as the service does."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key

from cli.signing_keys import add_key_arguments, load_public_key, load_signer
from shared.domain.artifacts.inspection import inspect
from shared.domain.artifacts.naming import Description, choose_naming
from shared.domain.errors import DomainError
from shared.domain.packages import Package
from shared.trust.authorities import Authorities, Publisher
from shared.trust.publishers import check_publisher
from shared.trust.signature_files import read_signature_file, write_signature_file
from shared.wire.descriptions import describe
from shared.wire.package_records import write_compatibility
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
    check = actions.add_parser("check", help="look whether a signature is about an artifact, and by a key")
    check.add_argument("artifact", type=Path)
    check.add_argument("--publisher-key", type=Path, required=True, help="public key (PEM)")
    check.add_argument("--signature", type=Path, help="default: <artifact>.sig")
    check.set_defaults(run=_run_check)


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


def check_artifact(path: Path, signature: bytes, key: Key) -> Package:
    """The package that a file is, as the holder of the key signed it.

    Raises:
        DomainError: The signature is not by that key, or not about that file; the message says which.
    """
    signed = read_signature_file(signature, created=datetime.now(UTC))
    holder = Publisher(name="the holder of the key", keys=(key,))
    check_publisher(signed, Authorities(intent_keys=(), publishers=(holder,)))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != signed.sha256:
        raise DomainError(f"the signature is about other bytes: SHA-256 {signed.sha256[:12]}…, not {sha256[:12]}…")
    return signed


def _run_sign(arguments: argparse.Namespace) -> int:
    try:
        package = describe_artifact(arguments.artifact, _described(arguments))
        content = write_signature_file(package, load_signer(arguments))
        out = arguments.out or _signature_path(arguments.artifact)
        out.write_bytes(content)
    except (DomainError, OSError) as error:
        return _complain(arguments.artifact, error)
    print(f"{out}: {_sentence(package)}")
    return 0


def _run_check(arguments: argparse.Namespace) -> int:
    try:
        content = (arguments.signature or _signature_path(arguments.artifact)).read_bytes()
        package = check_artifact(arguments.artifact, content, load_public_key(arguments.publisher_key))
    except (DomainError, OSError) as error:
        return _complain(arguments.artifact, error)
    print(f"{arguments.artifact}: {_sentence(package)}")
    return 0


def _complain(artifact: Path, error: Exception) -> int:
    print(f"{artifact}: {error}", file=sys.stderr)
    return 1


def _sentence(package: Package) -> str:
    compatibility = write_compatibility(package.compatibility)
    fits = json.dumps(compatibility) if compatibility else "every device"
    return f"{package.name} {package.version} ({package.kind}), {package.length_bytes} bytes, for {fits}"


def _signature_path(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + SIGNATURE)


def _described(arguments: argparse.Namespace) -> Description:
    fields = {"name": arguments.name, "version": arguments.version}
    if arguments.compatibility:
        fields["compatibility"] = _read_json(arguments.compatibility)
    return describe(fields, "the command line")


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DomainError(f"--compatibility is not JSON: {error}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
