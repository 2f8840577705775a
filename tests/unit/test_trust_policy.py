"""``trust.toml``: sound defaults, and errors that name the field."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.trust.policy import Expiries, TrustPolicy
from shared.trust.policy_file import PolicyInvalid, read_trust_policy

PROJECT = Path(__file__).parents[2]


def test_an_empty_file_has_the_defaults() -> None:
    assert read_trust_policy(b"") == TrustPolicy()


def test_the_file_of_the_project_spells_out_the_defaults() -> None:
    assert read_trust_policy((PROJECT / "trust.toml").read_bytes()) == TrustPolicy()


def test_what_is_given_is_taken() -> None:
    policy = read_trust_policy(
        b'bins = 16\n[root]\nthreshold = 3\n[timestamp]\nexpires = "96h"\n[bin]\nexpires = "10d"'
    )
    assert (policy.bins, policy.root_threshold) == (16, 3)
    assert policy.expiries == Expiries(timestamp=timedelta(days=4), bins=timedelta(days=10))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"bins = 3", "power of two"),
        (b"bins = ", "Invalid value"),
        (b"[root]\nthreshold = 0", "at least 1"),
        (b'[timestamp]\nexpires = "2d"', "three refreshes"),
        (b'[snapshot]\nexpires = "soon"', r"snapshot.expires: give hours or days"),
        (b"[snapshot]\nthreshold = 2", r"snapshot.threshold: Extra inputs"),
        (b"colour = 1", "colour"),
        (b"\xff", "decode"),
    ],
)
def test_a_file_that_cannot_be_used_says_which_field(content: bytes, complaint: str) -> None:
    with pytest.raises(PolicyInvalid, match=complaint):
        read_trust_policy(content)
