"""The tree over a device batch: every claim can be proven, no other can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import DeviceId
from shared.trust.merkle import MAX_LEAVES, ProofRefused, leaf, merkle_proof, merkle_root, verify_proof


def _leaves(count: int) -> list[bytes]:
    return [leaf(DeviceId(f"gw-{number}"), number) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 99, 128])
def test_every_leaf_of_every_size_can_be_proven(count: int) -> None:
    leaves = _leaves(count)
    root = merkle_root(leaves)
    for index in range(count):
        verify_proof(merkle_proof(leaves, index), leaf_hash=leaves[index], root=root)


def test_proof_for_a_full_batch_fits_into_a_twin() -> None:
    assert max(len(merkle_proof(_leaves(99), index)) for index in range(99)) < 512


@given(st.integers(2, MAX_LEAVES), st.data())
def test_proof_of_one_leaf_proves_no_other(count: int, data: st.DataObject) -> None:
    leaves = _leaves(count)
    one, other = data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    with pytest.raises(ProofRefused):
        verify_proof(merkle_proof(leaves, one), leaf_hash=leaves[other], root=merkle_root(leaves))


def test_other_sequence_of_the_same_device_is_another_leaf() -> None:
    leaves = _leaves(5)
    with pytest.raises(ProofRefused):
        verify_proof(merkle_proof(leaves, 2), leaf_hash=leaf(DeviceId("gw-2"), 3), root=merkle_root(leaves))


def test_inner_node_cannot_pass_for_a_leaf() -> None:
    leaves = _leaves(4)
    inner = merkle_root(leaves[:2])
    proof = ".".join(["0", "2", *merkle_proof(leaves, 0).split(".")[3:]])
    # The path is right, and would be believed if leaves were hashed as nodes are.
    verify_proof(proof, leaf_hash=inner, root=merkle_root(leaves))
    assert all(leaf(DeviceId(device), number) != inner for number in range(4) for device in ("gw-0", ""))


@given(st.integers(1, MAX_LEAVES), st.text(alphabet="0123456789.-_ABCabc=", max_size=80))
def test_arbitrary_proofs_are_refused(count: int, proof: str) -> None:
    leaves = _leaves(count)
    with pytest.raises(ProofRefused):
        verify_proof(proof, leaf_hash=leaf(DeviceId("thief"), 0), root=merkle_root(leaves))


@pytest.mark.parametrize("proof", ["", "0", "0.0", "1.1", "-1.2", "0.129", "0.2", "0.2.!!", "0.1.AAAA", "x.y"])
def test_malformed_proofs_are_refused(proof: str) -> None:
    leaves = _leaves(2)
    with pytest.raises(ProofRefused):
        verify_proof(proof, leaf_hash=leaves[0], root=merkle_root(leaves))


@pytest.mark.parametrize("count", [0, MAX_LEAVES + 1])
def test_tree_has_a_batch_of_leaves(count: int) -> None:
    with pytest.raises(ValueError, match="leaves"):
        merkle_root(_leaves(count))
