"""``keys root``, ``keys rotate``, ``keys revoke`` and ``keys targets``: files for the owners to sign."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Targets

from cli.keys.files import (
    Actions,
    Run,
    add_policy,
    guarded,
    read_policy,
    read_root_file,
    read_targets_file,
    write_file,
)
from cli.signing_keys import load_public_key
from shared.trust.authorities import Authorities, Publisher, PublisherRule, read_authorities
from shared.trust.ceremonies import CeremonyRefused
from shared.trust.roots import (
    RootChanges,
    propose_first_root,
    propose_next_root,
    replace_keys,
    revoke_key,
    weigh_root,
)
from shared.trust.targets_role import bin_keys_of, propose_targets, weigh_targets


def add_actions(actions: Actions) -> None:
    """Register the actions."""
    root = _add(actions, "root", "propose the first root, or the next one with changes", _run_root)
    root.add_argument("--from", dest="before", type=Path, help="the root it follows; none for the first one")
    root.add_argument("--key", action="append", default=[], metavar="ROLE=FILE.pub", help="add a key to a role")
    root.add_argument("--remove", action="append", default=[], metavar="ROLE=KEYID", help="take a key from a role")
    root.add_argument("--threshold", action="append", default=[], metavar="ROLE=N", help="signatures that a role needs")
    rotate = _add(actions, "rotate", "propose a root in which a role has other keys", _run_rotate)
    rotate.add_argument("role")
    rotate.add_argument("--from", dest="before", type=Path, required=True)
    rotate.add_argument("--key", action="append", type=Path, required=True, metavar="FILE.pub")
    revoke = _add(actions, "revoke", "propose a root without a key, whatever role it is in", _run_revoke)
    revoke.add_argument("keyid", help="the beginning of the key's id")
    revoke.add_argument("--from", dest="before", type=Path, required=True)
    _add_targets(_add(actions, "targets", "propose the first targets file, or the next one with changes", _run_targets))


def _add(actions: Actions, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--yes-weaken", action="store_true", help="propose it although it is weaker")
    add_policy(parser)
    parser.set_defaults(run=guarded(run))
    return parser


def _add_targets(targets: argparse.ArgumentParser) -> None:
    targets.add_argument("--from", dest="before", type=Path, help="the targets file it follows; none for the first one")
    targets.add_argument("--bins", action="append", type=Path, default=[], metavar="FILE.pub", help="who signs bins")
    targets.add_argument("--intents", action="append", type=Path, default=[], metavar="FILE.pub", help="add a key")
    targets.add_argument("--remove-intents", action="append", default=[], metavar="KEYID")
    targets.add_argument("--publisher", action="append", default=[], metavar="NAME=FILE.pub", help="add a key")
    targets.add_argument("--packages", action="append", default=[], metavar="NAME=PATTERN", help="what it may sign")
    targets.add_argument("--remove-publisher", action="append", default=[], metavar="NAME[=KEYID]")
    targets.add_argument("--publishers", choices=list(PublisherRule), help="whether artifacts need a signature")


def _run_root(arguments: argparse.Namespace) -> int:
    policy, added = read_policy(arguments), _group(arguments.key, _load)
    if arguments.before is None:
        root = propose_first_root(added, policy, now=datetime.now(UTC))
        return _propose(arguments, root, weigh_root(root, None))
    thresholds = {role: _whole(text) for role, text in map(_pair, arguments.threshold)}
    changes = RootChanges(added=added, removed=_group(arguments.remove, str), thresholds=thresholds)
    return _propose_next(arguments, changes)


def _run_rotate(arguments: argparse.Namespace) -> int:
    keys = [load_public_key(path) for path in arguments.key]
    return _propose_next(arguments, replace_keys(read_root_file(arguments.before), arguments.role, keys))


def _run_revoke(arguments: argparse.Namespace) -> int:
    return _propose_next(arguments, revoke_key(read_root_file(arguments.before), arguments.keyid))


def _propose_next(arguments: argparse.Namespace, changes: RootChanges) -> int:
    before = read_root_file(arguments.before)
    root = propose_next_root(before, changes, read_policy(arguments), now=datetime.now(UTC))
    return _propose(arguments, root, weigh_root(root, before))


def _run_targets(arguments: argparse.Namespace) -> int:
    before = read_targets_file(arguments.before) if arguments.before else None
    bins = [load_public_key(path) for path in arguments.bins] or (bin_keys_of(before) if before else [])
    version = before.signed.version + 1 if before else 1
    authorities = _change(read_authorities(before.signed) if before else Authorities(intent_keys=()), arguments)
    role = propose_targets(version, bins, authorities, read_policy(arguments), now=datetime.now(UTC))
    return _propose(arguments, role, weigh_targets(role, before))


def _propose(
    arguments: argparse.Namespace, proposal: Metadata[Root] | Metadata[Targets], weaknesses: Sequence[str]
) -> int:
    for weakness in weaknesses:
        print(f"weak: {weakness}", file=sys.stderr)
    if weaknesses and not arguments.yes_weaken:
        raise CeremonyRefused("nothing was written; mend it, or say --yes-weaken if it is meant")
    write_file(arguments.out, proposal.to_bytes())
    print(f"{arguments.out}: {proposal.signed.type} {proposal.signed.version}; its owners sign it with `keys sign`")
    return 0


def _change(authorities: Authorities, arguments: argparse.Namespace) -> Authorities:
    intents = _without(authorities.intent_keys, arguments.remove_intents, "intents")
    added = [load_public_key(path) for path in arguments.intents]
    publishers = {publisher.name: publisher for publisher in authorities.publishers}
    for name, keyid in map(_pair, arguments.remove_publisher):
        _remove_publisher(publishers, name, keyid)
    for name, path in map(_pair, arguments.publisher):
        known = publishers.get(name, Publisher(name=name, keys=()))
        publishers[name] = replace(known, keys=(*known.keys, load_public_key(Path(path))))
    for name, patterns in _group(arguments.packages, str).items():
        if name not in publishers:
            raise CeremonyRefused(f"there is no publisher {name!r} to give packages to; name it with --publisher")
        publishers[name] = replace(publishers[name], packages=tuple(patterns))
    rule = PublisherRule(arguments.publishers) if arguments.publishers else authorities.publisher_rule
    return Authorities(intent_keys=(*intents, *added), publishers=tuple(publishers.values()), publisher_rule=rule)


def _remove_publisher(publishers: dict[str, Publisher], name: str, keyid: str) -> None:
    if name not in publishers:
        raise CeremonyRefused(f"there is no publisher {name!r} to remove; `keys show` lists them")
    if not keyid:
        del publishers[name]
        return
    publishers[name] = replace(publishers[name], keys=_without(publishers[name].keys, [keyid], name))


def _without(keys: Iterable[Key], keyids: Sequence[str], whose: str) -> tuple[Key, ...]:
    left = tuple(keys)
    for keyid in keyids:
        found = [key for key in left if key.keyid.startswith(keyid)]
        if len(found) != 1:
            raise CeremonyRefused(f"{whose} has no key {keyid[:12]!r} to remove; `keys show` lists those it has")
        left = tuple(key for key in left if key is not found[0])
    return left


def _load(text: str) -> Key:
    return load_public_key(Path(text))


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise CeremonyRefused(f"a threshold is a whole number, not {text!r}")
    return int(text)


def _group[T](pairs: Sequence[str], read: Callable[[str], T]) -> dict[str, list[T]]:
    grouped: dict[str, list[T]] = {}
    for name, text in map(_pair, pairs):
        grouped.setdefault(name, []).append(read(text))
    return grouped


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
