"""A key that cannot be used delays offers, which go out once it can; they are not parked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from securesystemslib.signer import CryptoSigner, Signature

from shared.domain.rollouts import RolloutState
from shared.ports.errors import KeyUnusable, Unavailable
from tests.support.data_plane import DataPlane


class BarredSigner(CryptoSigner):
    """A signer in a vault that is closed."""

    def __init__(self, error: Exception) -> None:
        super().__init__(generate_private_key(SECP256R1()))
        self.error = error

    def sign(self, payload: bytes) -> Signature:
        raise self.error


@pytest.mark.parametrize("error", [KeyUnusable("revoked"), OSError("no route"), ValueError("?")], ids=repr)
def test_offers_wait_for_their_key(error: Exception) -> None:
    plane = DataPlane(["gw-0", "gw-1"])
    good_keys = plane.keys
    plane.keys = replace(good_keys, intents=lambda: BarredSigner(error))
    with pytest.raises(Unavailable, match="the key that signs offers"):
        plane.dispatch()
    assert not plane.hub.writes
    plane.keys = good_keys
    plane.dispatch()
    assert plane.states() == {RolloutState.OFFERED}
    assert {row.sent_at for row in plane.rows().values()} == {plane.now}
