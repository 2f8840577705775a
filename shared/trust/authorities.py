"""Whose intents and whose artifacts devices believe: two targets of the top-level targets role.

Both are targets of no bytes, of which only the ``custom`` part matters. They are looked for in the targets role alone:
a hashed bin, whose key is online, cannot name anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from securesystemslib.signer import Key
from tuf.api.metadata import TargetFile, Targets

from shared.domain.errors import TrustError
from shared.domain.ids import PackagePath

INTENT_KEYS_PATH = PackagePath("keys/intents")
PUBLISHERS_PATH = PackagePath("keys/publishers")


class AuthoritiesUnreadable(TrustError):
    """The targets role names nobody, or in a way that cannot be read."""

    code = "index_refused"


class PublisherRule(StrEnum):
    """Whether an artifact needs a publisher's signature."""

    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Somebody whose artifacts are believed.

    Attributes:
        packages: Shell patterns over package names; the publisher may sign packages that match one of them.
    """

    name: str
    keys: tuple[Key, ...]
    packages: tuple[str, ...] = ("*",)

    def may_sign(self, package_name: str) -> bool:
        """Whether a package of that name is this publisher's to sign."""
        return any(fnmatchcase(package_name, pattern) for pattern in self.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """What the targets role says besides its bins."""

    intent_keys: tuple[Key, ...]
    publishers: tuple[Publisher, ...] = ()
    publisher_rule: PublisherRule = PublisherRule.REQUIRED


def write_authorities(authorities: Authorities) -> dict[str, TargetFile]:
    """The two targets, by path."""
    publishers = {
        publisher.name: {"keys": _write_keys(publisher.keys), "packages": list(publisher.packages)}
        for publisher in authorities.publishers
    }
    rule = authorities.publisher_rule.value
    return {
        INTENT_KEYS_PATH: _target(INTENT_KEYS_PATH, {"keys": _write_keys(authorities.intent_keys)}),
        PUBLISHERS_PATH: _target(PUBLISHERS_PATH, {"rule": rule, "publishers": publishers}),
    }


def read_authorities(targets: Targets) -> Authorities:
    """What a verified top-level targets role says; where it says nothing of publishers, signatures are required.

    Raises:
        AuthoritiesUnreadable: It names no intent keys, or cannot be read.
    """
    try:
        publishers = _custom(targets, PUBLISHERS_PATH) if PUBLISHERS_PATH in targets.targets else {}
        return Authorities(
            intent_keys=_read_keys(_custom(targets, INTENT_KEYS_PATH)["keys"]),
            publishers=tuple(_read_publisher(name, each) for name, each in publishers.get("publishers", {}).items()),
            publisher_rule=PublisherRule(publishers.get("rule", PublisherRule.REQUIRED)),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise AuthoritiesUnreadable(f"the keys that the targets role names cannot be read: {error!r}") from error


def _custom(targets: Targets, path: str) -> Mapping[str, Any]:
    custom = targets.targets[path].custom
    if not isinstance(custom, dict):
        raise TypeError(f"{path} names nothing")
    return custom


def _read_publisher(name: str, document: Mapping[str, Any]) -> Publisher:
    patterns = tuple(str(pattern) for pattern in document["packages"])
    return Publisher(name=name, keys=_read_keys(document["keys"]), packages=patterns)


def _write_keys(keys: tuple[Key, ...]) -> dict[str, Any]:
    return {key.keyid: key.to_dict() for key in keys}


def _read_keys(document: Mapping[str, Mapping[str, Any]]) -> tuple[Key, ...]:
    return tuple(Key.from_dict(keyid, dict(key)) for keyid, key in document.items())


def _target(path: str, custom: dict[str, Any]) -> TargetFile:
    return TargetFile(0, {"sha256": hashlib.sha256(b"").hexdigest()}, path, {"custom": custom})
