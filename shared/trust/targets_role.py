"""Proposing the top-level targets role: the bins and their key, whose intents and whose artifacts are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets

from shared.trust.authorities import Authorities, PublisherRule, read_authorities, write_authorities
from shared.trust.ceremonies import CeremonyRefused
from shared.trust.policy import TrustPolicy


def propose_targets(
    version: int, bin_keys: Sequence[Key], authorities: Authorities, policy: TrustPolicy, *, now: datetime
) -> Metadata[Targets]:
    """The targets role of that version, not signed yet.

    Raises:
        CeremonyRefused: It would name nobody who signs bins or intents, or require publishers and name none.
    """
    if not bin_keys or not authorities.intent_keys:
        raise CeremonyRefused("the targets role must name a bins key and an intents key; give both")
    if authorities.publisher_rule is PublisherRule.REQUIRED and not authorities.publishers:
        raise CeremonyRefused("publishers are required and none is named; name one, or say that they are optional")
    keyids = [key.keyid for key in bin_keys]
    roles = {
        name: DelegatedRole(name, keyids, 1, terminating=True, path_hash_prefixes=prefixes)
        for name, prefixes in bin_prefixes(policy.bins).items()
    }
    return Metadata(
        Targets(
            version=version,
            expires=(now + policy.expiries.targets).replace(microsecond=0),
            targets=write_authorities(authorities),
            delegations=Delegations({key.keyid: key for key in bin_keys}, roles),
        )
    )


def bin_keys_of(targets: Metadata[Targets]) -> list[Key]:
    """The keys that sign its bins."""
    delegations = targets.signed.delegations
    return list(delegations.keys.values()) if delegations else []


def bin_names(targets: Metadata[Targets]) -> list[str]:
    """The names of its bins."""
    delegations = targets.signed.delegations
    return list(delegations.roles or {}) if delegations else []


def bin_prefixes(count: int) -> dict[str, list[str]]:
    """Bin names to the hash prefixes each one covers; together they cover every hash once."""
    digits = max(1, len(f"{count - 1:x}"))
    per_bin = 16**digits // count
    width = len(f"{count - 1:x}")
    return {
        f"bin-{number:0{width}x}": [
            f"{prefix:0{digits}x}" for prefix in range(number * per_bin, (number + 1) * per_bin)
        ]
        for number in range(count)
    }


def weigh_targets(after: Metadata[Targets], before: Metadata[Targets] | None) -> list[str]:
    """In which ways a targets role is weak, or weaker than the one before it: a sentence each."""
    return list(_weaknesses(read_authorities(after.signed), read_authorities(before.signed) if before else None))


def _weaknesses(after: Authorities, before: Authorities | None) -> Iterator[str]:
    if after.publisher_rule is PublisherRule.OPTIONAL and (
        before is None or before.publisher_rule is PublisherRule.REQUIRED
    ):
        yield "artifacts need no publisher's signature: whoever can write to incoming can publish"
    known = {publisher.name: publisher for publisher in before.publishers} if before else {}
    for publisher in after.publishers:
        former = known.get(publisher.name)
        if former is not None and set(publisher.packages) - set(former.packages):
            wider = ", ".join(sorted(set(publisher.packages) - set(former.packages)))
            yield f"{publisher.name} may sign more packages: {wider}"
