"""A campaign must find room in its rows: Azure Table takes 32,768 characters in a string property."""

from __future__ import annotations

from shared.domain.campaigns import Campaign
from shared.wire.campaign_rows import write_campaign_row, write_wave_spec
from shared.wire.http_fields import InvalidRequest

MAX_LENGTH = 30_000
"""Of what was asked for. An edit's signature, its cursor, and who edited it come into the same properties later."""

_OF_A_WAVE = 220
"""What a wave of a dry run is kept with besides its specification; all of them are in one property."""


def check_room(campaign: Campaign) -> None:
    """Return if what was asked for can be kept.

    Raises:
        InvalidRequest: It is too long; whoever sent it again would be told again that a store is down.
    """
    row = write_campaign_row(campaign)
    _check(max(len(row["spec"]), len(row["wave_edit"])))


def check_room_of_draft(draft: Campaign) -> None:
    """Return if the waves of a dry run can be kept, too.

    Raises:
        InvalidRequest: They are too long.
    """
    _check(sum(len(write_wave_spec(spec)) + _OF_A_WAVE for spec in draft.spec.waves))


def _check(length: int) -> None:
    if length > MAX_LENGTH:
        raise InvalidRequest(
            f"waves: with filters, gates and all else they hold {length} characters, at most {MAX_LENGTH}; "
            "give fewer waves, shorter filters or shorter queries"
        )
