"""How a hub is set up."""

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """The editions whose throttles differ."""

    F1 = "F1"
    B1 = "B1"
    S1 = "S1"
    B2 = "B2"
    S2 = "S2"
    B3 = "B3"
    S3 = "S3"


class Throttles(StrEnum):
    """Whether the documented throttles are enforced; the counting goes on either way."""

    ON = "on"
    OFF = "off"


class BulkTwins(StrEnum):
    """What an ``updateTwin`` entry of a bulk call does to desired properties; documents leave it open."""

    MERGE = "merge"
    REPLACE = "replace"
    KEEP_NULLS = "keep-nulls"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """One hub.

    Attributes:
        name: the hub's name; devices behind a gateway name know it as ``<name>.azure-devices.net``.
        units: bought units, 1 to 200 (10 for S3).
        throttles: ``on`` or ``off``; changeable at run time through ``HubServer.throttle``.
        burst_s: seconds' worth of a per-second throttle accepted at once (the documented traffic shaping takes a burst
            but gives no number for it); a per-minute throttle always takes its minute at once.
        daily_messages: messages of 4 KB a day before 403002; None for no quota.
        query_lag_s: how old what queries see may be; 0 for always fresh. Changeable at run time.
        bulk_twins: ``merge`` as a PATCH does; ``replace`` drops what an entry does not name; ``keep-nulls`` merges and
            takes nothing away. The latter two are hubs to test against.
        retry_after_s: what a 429 says in ``Retry-After``; None for no such header, which no document promises.
    """

    name: str = "local-hub"
    tier: str = Tier.S1
    units: int = 1
    throttles: str = Throttles.OFF
    burst_s: float = 2.0
    daily_messages: int | None = None
    query_lag_s: float = 0.0
    bulk_twins: str = BulkTwins.MERGE
    retry_after_s: int | None = None
