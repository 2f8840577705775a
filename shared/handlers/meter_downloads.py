"""Metering downloads: no more packages are handed out than the bandwidth of the campaign, and of the fleet, can carry.

What is promised is kept in a row that all instances share. Each takes about a second's worth with one write and hands
it out from memory; while nothing is free it says so from memory too, because the row never gets free earlier.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from shared.domain.campaigns import Campaign
from shared.domain.downloads import Grant, promise, use
from shared.domain.stops import FLEET
from shared.handlers.contention import until_written
from shared.ports.stored import Stored
from shared.ports.traffic import TrafficStore

SPREAD_S = 30.0
"""Devices that are told to come again are spread over as long, so that they do not come all at once."""

_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    name: str
    bandwidth_bytes_per_s: int


class DownloadMeter:
    """What one instance knows of the bandwidths; shared by all its threads."""

    def __init__(self, traffic: TrafficStore, *, fleet_bytes_per_s: int | None) -> None:
        self._traffic = traffic
        self._fleet_bytes_per_s = fleet_bytes_per_s
        self._grants: OrderedDict[str, Grant] = OrderedDict()
        self._lock = Lock()

    def admit(self, campaign: Campaign, length: int, *, now: datetime) -> float | None:
        """None where the download may begin, which it is charged for; else the seconds until asking again helps.

        Args:
            length: Bytes of the package that would be handed out.

        Raises:
            PortError: Nobody can say now.
        """
        with self._lock:
            taken: list[_Scope] = []
            for scope in self._scopes(campaign):
                if not self._take(scope, length, now):
                    self._give_back(taken, length)
                    wait_s = (self._grants[scope.name].free_at - now).total_seconds()
                    return max(wait_s, 1.0) + random.uniform(0, SPREAD_S)
                taken.append(scope)
        return None

    def _scopes(self, campaign: Campaign) -> Sequence[_Scope]:
        bounds = {campaign.id: campaign.spec.pace.bandwidth_bytes_per_s, FLEET: self._fleet_bytes_per_s}
        return [_Scope(name=name, bandwidth_bytes_per_s=bound) for name, bound in bounds.items() if bound]

    def _take(self, scope: _Scope, length: int, now: datetime) -> bool:
        grant = self._grant(scope, length, now)
        left = use(grant, length, now=now)
        self._remember(scope.name, left or grant)
        return left is not None

    def _grant(self, scope: _Scope, length: int, now: datetime) -> Grant:
        """The one known, while it holds enough or nothing is free; else what asking gives."""
        known = self._grants.get(scope.name)
        if known is not None and (known.free_at > now or use(known, length, now=now) is not None):
            return known
        return until_written(lambda: self._ask(scope, length, now), what=f"the bandwidth of {scope.name}")

    def _ask(self, scope: _Scope, length: int, now: datetime) -> Grant:
        """A new grant, or an empty one that says when the bandwidth is free again."""
        row = self._traffic.get(scope.name)
        grant = promise(row.value, length, scope.bandwidth_bytes_per_s, now=now)
        if grant is None:
            return Grant(bytes_left=0, ends_at=now, free_at=row.value)
        self._traffic.save(scope.name, Stored(value=grant.free_at, etag=row.etag))
        return grant

    def _give_back(self, scopes: Sequence[_Scope], length: int) -> None:
        for scope in scopes:
            grant = self._grants[scope.name]
            self._grants[scope.name] = replace(grant, bytes_left=grant.bytes_left + length)

    def _remember(self, name: str, grant: Grant) -> None:
        self._grants[name] = grant
        self._grants.move_to_end(name)
        while len(self._grants) > _REMEMBERED:
            self._grants.popitem(last=False)
