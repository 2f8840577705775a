"""``keys new``, ``keys show``, ``keys sign`` and ``keys merge``: what a key holder does at an offline machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Targets

from cli.keys.files import Actions, guarded, read_owned_file, read_root_file, write_file
from cli.signing_keys import KeyFileInvalid, add_key_arguments, ask_person, load_public_key, load_signer
from shared.trust.authorities import read_authorities
from shared.trust.ceremonies import CeremonyRefused, Owned, judge_proposal, merge_proposals, sign_proposal
from shared.trust.roots import ROLES
from shared.trust.signers import describe_public_key
from shared.trust.targets_role import bin_keys_of, bin_names

type _NewKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_NEW: dict[str, Callable[[], _NewKey]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def add_actions(actions: Actions) -> None:
    """Register the actions."""
    new = actions.add_parser("new", help="make a key file, and <file>.pub beside it")
    new.add_argument("file", type=Path)
    new.add_argument("--type", choices=sorted(_NEW), default="p256")
    new.add_argument("--passphrase-file", type=Path, help="its first line encrypts the key file")
    new.add_argument("--no-passphrase", action="store_true", help="for one machine only")
    new.set_defaults(run=guarded(_run_new))
    show = actions.add_parser("show", help="what a key, root or targets file is, and who has still to sign it")
    show.add_argument("files", type=Path, nargs="+")
    _add_roots(show)
    show.set_defaults(run=guarded(_run_show))
    sign = actions.add_parser("sign", help="add a signature to a proposed root or targets file")
    sign.add_argument("file", type=Path)
    add_key_arguments(sign)
    _add_roots(sign)
    sign.set_defaults(run=guarded(_run_sign))
    merge = actions.add_parser("merge", help="one file with the signatures of several")
    merge.add_argument("files", type=Path, nargs="+")
    merge.add_argument("--out", type=Path, required=True)
    merge.set_defaults(run=guarded(_run_merge))


def _add_roots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--before", type=Path, help="the root that a proposed root follows")
    parser.add_argument("--root", type=Path, help="the root that a proposed targets file is signed under")


def _run_new(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    if path.exists():
        raise KeyFileInvalid(f"{path} is there already; give another name, a key file is never overwritten")
    key = _NEW[arguments.type]()
    write_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _protection(arguments)), mode=0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_file(path.with_name(f"{path.name}.pub"), public)
    print(f"{path}: {_describe(describe_public_key(key.public_key()))}; give {path.name}.pub to whoever names it")
    return 0


def _protection(arguments: argparse.Namespace) -> KeySerializationEncryption:
    if arguments.no_passphrase:
        return NoEncryption()
    if arguments.passphrase_file is not None:
        passphrase = arguments.passphrase_file.read_text().splitlines()[0]
    else:
        passphrase = ask_person(f"new passphrase for {arguments.file}")
        if ask_person("same again") != passphrase:
            raise KeyFileInvalid("the two passphrases differ")
    if not passphrase:
        raise KeyFileInvalid("a passphrase must not be empty; --no-passphrase goes without one")
    return BestAvailableEncryption(passphrase.encode())


def _run_show(arguments: argparse.Namespace) -> int:
    for path in arguments.files:
        print("\n".join(_show(path, arguments)))
    return 0


def _run_sign(arguments: argparse.Namespace) -> int:
    proposal = read_owned_file(arguments.file)
    if proposal.signed.expires <= datetime.now(UTC):
        raise CeremonyRefused(f"{arguments.file} has expired on {proposal.signed.expires:%Y-%m-%d}; propose it anew")
    content = sign_proposal(proposal, load_signer(arguments), _roots_for(proposal, arguments))
    write_file(arguments.file, content)
    print("\n".join(_standings(arguments.file, arguments)))
    return 0


def _run_merge(arguments: argparse.Namespace) -> int:
    write_file(arguments.out, merge_proposals([read_owned_file(path) for path in arguments.files]))
    print(f"{arguments.out}: {len(read_owned_file(arguments.out).signatures)} signatures")
    return 0


def _show(path: Path, arguments: argparse.Namespace) -> Iterator[str]:
    if (content := path.read_bytes()).startswith(b"-----BEGIN PUBLIC KEY"):
        yield f"{path}: {_describe(load_public_key(path))}"
        return
    if content.startswith(b"-----BEGIN"):
        raise KeyFileInvalid(f"{path} is a private key; show the .pub file beside it")
    owned = read_owned_file(path)
    yield f"{path}: {owned.signed.type} {owned.signed.version}, until {owned.signed.expires:%Y-%m-%d}"
    yield from _contents(owned)
    yield from _standings(path, arguments)


def _contents(owned: Owned) -> Iterator[str]:
    if isinstance(owned.signed, Root):
        for role in ROLES:
            named = owned.signed.roles[role]
            yield f"  {role}: {named.threshold} of {len(named.keyids)}"
            yield from (f"    {_describe(owned.signed.keys[keyid])}" for keyid in named.keyids)
    elif isinstance(owned.signed, Targets):
        targets = Metadata[Targets](owned.signed)
        yield f"  {len(bin_names(targets))} bins, signed by"
        yield from (f"    {_describe(key)}" for key in bin_keys_of(targets))
        authorities = read_authorities(owned.signed)
        yield "  intents, signed by"
        yield from (f"    {_describe(key)}" for key in authorities.intent_keys)
        yield f"  publishers: {authorities.publisher_rule}"
        for publisher in authorities.publishers:
            yield f"    {publisher.name} for {', '.join(publisher.packages)}"
            yield from (f"      {_describe(key)}" for key in publisher.keys)


def _standings(path: Path, arguments: argparse.Namespace) -> Iterator[str]:
    proposal = read_owned_file(path)
    roots = _roots_for(proposal, arguments)
    if missing := _missing_root(proposal, arguments):
        yield f"  signed by {len(proposal.signatures)}; give {missing} to see who has still to sign"
        return
    for standing in judge_proposal(proposal, roots):
        names = ", ".join(key.keyid[:12] for key in standing.missing)
        have = f"{len(standing.signed)} of {standing.threshold} signatures for {standing.holders}"
        yield f"  {have}: complete" if not standing.lacking else f"  {have}: {standing.lacking} missing, of {names}"


def _missing_root(proposal: Owned, arguments: argparse.Namespace) -> str:
    """The option without which nobody can say who has still to sign; empty where none is missing."""
    if isinstance(proposal.signed, Root):
        return "" if proposal.signed.version == 1 or arguments.before else "--before"
    return "" if arguments.root else "--root"


def _roots_for(proposal: Owned, arguments: argparse.Namespace) -> list[Metadata[Root]]:
    """The roots whose holders sign the proposal."""
    if isinstance(proposal.signed, Root):
        before = [read_root_file(arguments.before)] if arguments.before else []
        return [*before, Metadata[Root](proposal.signed, proposal.signatures)]
    if arguments.root is None:
        if hasattr(arguments, "key"):
            raise CeremonyRefused("say with --root under which root this targets file is signed")
        return []
    return [read_root_file(arguments.root)]


def _describe(key: Key) -> str:
    return f"{key.keyid[:12]} ({key.scheme})"
