"""The fleet's emergency stop."""

from __future__ import annotations

from typing import Protocol

from shared.domain.stops import FleetStop
from shared.ports.stored import Stored


class StopStore(Protocol):
    """Table ``budget``, row ``stop``: beside the hub's rate, because it bounds what every campaign may offer too."""

    def get(self) -> Stored[FleetStop]:
        """The row; one that stops nothing and has an empty etag where nobody ever stopped the fleet.

        Raises:
            PortError: Nobody can say now whether the fleet is stopped: nothing may be offered.
        """

    def save(self, stop: Stored[FleetStop]) -> None:
        """Write it if nobody else has since it was read; an empty etag means the row must be new.

        Raises:
            ConcurrentChange: Somebody has.
        """
