"""A small Merkle tree over (device id, sequence), so that one signature covers a whole device batch.

Hashing follows RFC 6962, section 2.1: leaves and nodes carry different prefixes, so neither can pass for the other.
A proof is the text ``<index>.<size>.<hash>.<hash>…`` with base64url hashes, from the leaf's sibling up: seven of them
for 99 devices, about 320 bytes in a twin.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from shared.domain.errors import TrustError
from shared.domain.ids import DeviceId

MAX_LEAVES = 128


class ProofRefused(TrustError):
    """The proof does not place this device and sequence under the signed root."""

    code = "proof_refused"


def leaf(device: DeviceId, sequence: int) -> bytes:
    """The leaf for one device and one claim of it."""
    return hashlib.sha256(b"\x00" + f"{sequence}:{device}".encode()).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over 1 to 128 leaves, 32 bytes."""
    if not 1 <= len(leaves) <= MAX_LEAVES:
        raise ValueError(f"a tree has 1 to {MAX_LEAVES} leaves, not {len(leaves)}")
    return _subtree_root(leaves)


def merkle_proof(leaves: Sequence[bytes], index: int) -> str:
    """The proof that leaf ``index`` stands under the root of ``leaves``."""
    path = [_encode(node) for node in _path(leaves, index)]
    return ".".join([str(index), str(len(leaves)), *path])


def verify_proof(proof: str, *, leaf_hash: bytes, root: bytes) -> None:
    """Return if the proof leads from the leaf to the root.

    Raises:
        ProofRefused: It does not, or it cannot be read.
    """
    index, size, path = _parse(proof)
    if _climb(leaf_hash, index, size, path) != root:
        raise ProofRefused("the intent was not signed for this device and sequence")


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return int(1 << (size - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _subtree_root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(_subtree_root(leaves[:split]), _subtree_root(leaves[split:]))


def _path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*_path(leaves[:split], index), _subtree_root(leaves[split:])]
    return [*_path(leaves[split:], index - split), _subtree_root(leaves[:split])]


def _climb(node: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    if size == 1:
        return None if path else node
    if not path:
        return None
    split = _split(size)
    if index < split:
        below = _climb(node, index, split, path[:-1])
        return below and _node(below, path[-1])
    below = _climb(node, index - split, size - split, path[:-1])
    return below and _node(path[-1], below)


def _parse(proof: str) -> tuple[int, int, list[bytes]]:
    try:
        index_text, size_text, *hashes = proof.split(".")
        index, size = int(index_text), int(size_text)
        path = [base64.b64decode(text + "=", altchars=b"-_", validate=True) for text in hashes]
    except (ValueError, binascii.Error) as error:
        raise ProofRefused("the proof in the offer cannot be read") from error
    if not 0 <= index < size <= MAX_LEAVES:
        raise ProofRefused("the proof in the offer names an impossible place")
    return index, size, path


def _encode(node: bytes) -> str:
    return base64.urlsafe_b64encode(node).rstrip(b"=").decode()
