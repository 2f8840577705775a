"""What can never work, said before a campaign is made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.domain.errors import DomainError
from shared.domain.waves import DeviceCount, Percent, WaveSpec, slice_waves


def find_impossible(waves: Sequence[WaveSpec], sizes: Sequence[int]) -> list[str]:
    """Sentences that begin with the field that is wrong; empty where nothing is.

    Args:
        sizes: How many devices each wave has, or has at most; 0 where nobody knows yet.
    """
    return [*_too_many_percent(waves), *_gates_that_never_pass(waves, sizes)]


def _too_many_percent(waves: Sequence[WaveSpec]) -> Iterator[str]:
    total = sum(wave.size.percent for wave in waves if isinstance(wave.size, Percent))
    # Shares such as a third written three times may add up to a hair more.
    if total > 100 + 1e-6:
        yield f"waves: the percentages add up to {total:g}, more than 100"


def _gates_that_never_pass(waves: Sequence[WaveSpec], sizes: Sequence[int]) -> Iterator[str]:
    for at, (wave, size) in enumerate(zip(waves, sizes, strict=True)):
        minimum = wave.gate.minimum_completed
        if size and minimum > size:
            yield (
                f"waves.{at}.gate.minimum_completed: {minimum} devices can never end in a wave of {size}; "
                "ask for no more than the wave has"
            )


def sizes_of(waves: Sequence[WaveSpec], devices: int) -> list[int]:
    """How many devices each wave has, or has at most; 0 where nobody knows yet, or where it would be empty.

    Args:
        devices: How many targets there are; 0 where that is not known yet.
    """
    if devices:
        try:
            return [wave.devices for wave in slice_waves(devices, waves)]
        except DomainError:
            pass
    return [wave.size.devices if isinstance(wave.size, DeviceCount) else 0 for wave in waves]
