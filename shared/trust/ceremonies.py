"""Signing together: what a proposed root or targets file still needs, and which signatures must not be counted.

A proposal is the metadata file itself, with the signatures it has so far. A root needs the threshold of the root before
it and its own (TUF specification 1.0.33, section 5.3); the targets role needs the threshold that the root names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from shared.domain.errors import TrustError
from shared.trust.index import add_signature

type Owned = Metadata[Root] | Metadata[Targets]


class CeremonyRefused(TrustError):
    """A proposal, a signature or a change that must not be; the message says which key, which role, what to do."""

    code = "ceremony_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a proposal is with one group of holders.

    Attributes:
        holders: Whose threshold it is, such as ``root 2``.
        signed: Keys that have signed.
        missing: Keys that have not.
    """

    holders: str
    threshold: int
    signed: tuple[Key, ...]
    missing: tuple[Key, ...]

    @property
    def lacking(self) -> int:
        """How many signatures it still needs."""
        return max(0, self.threshold - len(self.signed))


def read_proposal[T: (Root, Targets)](content: bytes, kind: type[T]) -> Metadata[T]:
    """The proposal in a file, signed or not.

    Raises:
        CeremonyRefused: It is no metadata of that kind.
    """
    try:
        metadata: Metadata[T] = Metadata.from_bytes(content)
    except RepositoryError as error:
        raise CeremonyRefused(f"this is no {kind.type} file: {error}") from error
    if not isinstance(metadata.signed, kind):
        raise CeremonyRefused(f"this is a {metadata.signed.type} file, not a {kind.type} file")
    return metadata


def keys_of(root: Metadata[Root], role: str) -> list[Key]:
    """The keys that a root names for a role."""
    return [root.signed.keys[keyid] for keyid in root.signed.roles[role].keyids]


def judge_proposal(proposal: Owned, roots: Sequence[Metadata[Root]]) -> list[Standing]:
    """How far a proposal is with each root whose holders must sign: for a root the one before it and itself.

    Raises:
        CeremonyRefused: A signature in it is not over these bytes, or by a key that none of the roots lets sign it.
    """
    role = str(proposal.signed.type)
    allowed = {key.keyid: key for root in roots for key in keys_of(root, role)}
    for keyid in proposal.signatures:
        if keyid not in allowed:
            raise CeremonyRefused(
                f"the {role} file is signed with {keyid[:12]}, which is no {role} key; remove that signature"
            )
        _check_signature(proposal, allowed[keyid])
    return [_standing(proposal, root, role) for root in roots]


def sign_proposal(proposal: Owned, signer: Signer, roots: Sequence[Metadata[Root]]) -> bytes:
    """The proposal with one more signature.

    Raises:
        CeremonyRefused: None of the roots lets this key sign it.
        Exception: Whatever the signer raises when its key cannot be used.
    """
    role, keyid = str(proposal.signed.type), signer.public_key.keyid
    if all(keyid != key.keyid for root in roots for key in keys_of(root, role)):
        raise CeremonyRefused(
            f"{keyid[:12]} is no {role} key of the file at hand; sign with one that it names"
            + (", or give the root before it with --before" if role == "root" else "")
        )
    add_signature(proposal, signer)
    return proposal.to_bytes()


def merge_proposals(proposals: Sequence[Owned]) -> bytes:
    """One file with the signatures of all of them.

    Raises:
        CeremonyRefused: They are not the same proposal.
    """
    first, *others = proposals
    for other in others:
        if other.signed_bytes != first.signed_bytes:
            raise CeremonyRefused(
                "these files are different proposals: what is signed differs; have everybody sign the same one"
            )
        first.signatures.update(other.signatures)
    return first.to_bytes()


def _standing(proposal: Owned, root: Metadata[Root], role: str) -> Standing:
    keys = keys_of(root, role)
    return Standing(
        holders=f"root {root.signed.version}",
        threshold=root.signed.roles[role].threshold,
        signed=tuple(key for key in keys if key.keyid in proposal.signatures),
        missing=tuple(key for key in keys if key.keyid not in proposal.signatures),
    )


def _check_signature(proposal: Metadata[Any], key: Key) -> None:
    try:
        key.verify_signature(proposal.signatures[key.keyid], proposal.signed_bytes)
    except UnverifiedSignatureError as error:
        raise CeremonyRefused(
            f"the signature of {key.keyid[:12]} is over other bytes; have its holder sign this file"
        ) from error
