"""Hardware variants: several packages of one campaign, of which at most one is for any device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from shared.domain.packages import Package
from shared.domain.rollouts import PackageTarget, Rollout, RolloutState

HARDWARE = "hardware"
"""The device property that tells variants apart."""

MAX_PACKAGES = 8

NO_PACKAGE = "no_package"
"""The code of a rollout skipped because none of the campaign's packages is for its device, as far as anybody knows."""


def accepted_hardware(package: Package) -> tuple[str, ...]:
    """The hardware the package is for; empty where it does not say, which means any."""
    return package.compatibility.get(HARDWARE, ())


def choose_variant(packages: Sequence[Package], hardware: str) -> int | None:
    """Which of the packages is for the hardware, from 0; None where none is, or nobody knows the hardware.

    Of one package it is not asked: the device judges for itself.
    """
    if len(packages) == 1:
        return 0
    fitting = (number for number, package in enumerate(packages) if hardware in accepted_hardware(package))
    return next(fitting, None) if hardware else None


def pick[T](variants: Sequence[T], number: int) -> T:
    """The variant of that number; the first where there is none, because a row may hold anything."""
    return variants[number] if 0 <= number < len(variants) else variants[0]


def fits(packages: Sequence[Package], rollout: Rollout) -> bool:
    """Whether the row's variant is one of the packages, and for its hardware, as far as the row knows that."""
    if len(packages) == 1 or not rollout.hardware:
        return 0 <= rollout.variant < len(packages)
    return choose_variant(packages, rollout.hardware) == rollout.variant


def find_ambiguous(packages: Sequence[Package]) -> Iterator[str]:
    """Why the packages cannot be variants of one campaign, a sentence beginning with the field for each reason."""
    for number, package in enumerate(packages):
        if not accepted_hardware(package):
            yield (
                f"packages.{number}: {package.name} {package.version} is for any hardware; "
                "of several packages each must name its own"
            )
    for (first, one), (second, other) in combinations(enumerate(packages), 2):
        if both := sorted({*accepted_hardware(one)}.intersection(accepted_hardware(other))):
            yield f"packages.{second}: it is for {', '.join(both)}, as packages.{first} is; a device takes only one"


def count_variants(packages: Sequence[Package], before: Sequence[int], rollouts: Sequence[Rollout]) -> tuple[int, ...]:
    """For each of several packages, how many devices it was chosen for, these rows included; nothing of one package."""
    if len(packages) == 1:
        return ()
    chosen = Counter(rollout.variant for rollout in rollouts if rollout.state is not RolloutState.SKIPPED)
    counts = before or (0,) * len(packages)
    return tuple(count + chosen[number] for number, count in enumerate(counts))


def name_targets(targets: Sequence[PackageTarget]) -> str:
    """The packages in words."""
    return ", ".join(f"{target.name} {target.version}" for target in targets)
