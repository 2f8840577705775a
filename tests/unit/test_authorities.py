"""Whose intents and artifacts devices believe, written into the targets role and read back."""

from __future__ import annotations

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Targets

from shared.trust.authorities import (
    INTENT_KEYS_PATH,
    PUBLISHERS_PATH,
    Authorities,
    AuthoritiesUnreadable,
    Publisher,
    PublisherRule,
    read_authorities,
    write_authorities,
)


def _key() -> CryptoSigner:
    return CryptoSigner.generate_ecdsa()


def _stored(authorities: Authorities) -> Targets:
    """As it is after a round trip through bytes."""
    metadata = Metadata(Targets(targets=write_authorities(authorities)))
    return Metadata[Targets].from_bytes(metadata.to_bytes()).signed


def test_what_was_written_is_read() -> None:
    keys = sorted((_key().public_key, _key().public_key), key=lambda key: key.keyid)
    acme = Publisher(name="acme", keys=tuple(keys), packages=("pump-*", "valve"))
    authorities = Authorities(
        intent_keys=(_key().public_key,), publishers=(acme,), publisher_rule=PublisherRule.OPTIONAL
    )
    assert read_authorities(_stored(authorities)) == authorities


def test_signatures_are_required_where_nothing_is_said_of_publishers() -> None:
    targets = _stored(Authorities(intent_keys=(_key().public_key,), publisher_rule=PublisherRule.OPTIONAL))
    del targets.targets[PUBLISHERS_PATH]
    authorities = read_authorities(targets)
    assert authorities.publisher_rule is PublisherRule.REQUIRED
    assert authorities.publishers == ()


@pytest.mark.parametrize("path", [INTENT_KEYS_PATH, PUBLISHERS_PATH])
def test_what_cannot_be_read_is_refused(path: str) -> None:
    targets = _stored(Authorities(intent_keys=(_key().public_key,)))
    targets.targets[path].unrecognized_fields["custom"] = {"keys": {"ab": {"keytype": "?"}}, "rule": "maybe"}
    with pytest.raises(AuthoritiesUnreadable):
        read_authorities(targets)
