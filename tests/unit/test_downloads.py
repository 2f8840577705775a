"""What one instance may hand out of a bandwidth without asking again."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.downloads import GRANT_LASTS_S, promise, use
from tests.support.rollouts import NOON


def test_what_is_not_used_of_a_grant_in_time_is_lost() -> None:
    """Handed out later, it would come on top of what others got meanwhile."""
    grant = promise(NOON, 100, 1_000, now=NOON)
    assert grant is not None
    end = NOON + timedelta(seconds=GRANT_LASTS_S)
    assert use(grant, 100, now=end - timedelta(milliseconds=1)) is not None
    assert use(grant, 100, now=end) is None
