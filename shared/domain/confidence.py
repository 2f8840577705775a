"""How much a share seen on few devices says about the package: Wilson's score interval with continuity correction.

Formula: R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, method 4.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(count: int, of: int, level_percent: float) -> tuple[float, float]:
    """The least and the greatest share, 0-1, that ``count`` of ``of`` devices are compatible with.

    Args:
        of: How many devices were seen; none at all are compatible with everything.
        level_percent: Two-sided confidence level, between 0 and 100.
    """
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level_percent / 200)
    return _lower(count, of, z), 1 - _lower(of - count, of, z)


def _lower(count: int, of: int, z: float) -> float:
    if count == 0:
        return 0.0
    share = count / of
    spread = z * z - 2 - 1 / of + 4 * share * (of * (1 - share) + 1)
    bound = (2 * count + z * z - 1 - z * math.sqrt(max(0.0, spread))) / (2 * (of + z * z))
    return min(share, max(0.0, bound))
