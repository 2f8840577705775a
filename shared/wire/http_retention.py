"""What of a campaign request says how long the rows of its devices stay in the table."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_DAYS = 36_500
"""A hundred years; whoever wants them longer keeps them for ever."""

type RetentionDays = Annotated[int, Field(ge=0, le=MAX_DAYS)]
