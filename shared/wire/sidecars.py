"""What lies beside an artifact under the artifact's name: a description, a publisher's signature."""

from __future__ import annotations

DESCRIPTION = ".package.json"
SIGNATURE = ".sig"
SUFFIXES = (DESCRIPTION, SIGNATURE)


def is_sidecar(name: str) -> bool:
    """Whether a blob of that name speaks about another one."""
    return name.endswith(SUFFIXES)


def artifact_of(name: str) -> str:
    """The name of the artifact that a sidecar speaks about."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
