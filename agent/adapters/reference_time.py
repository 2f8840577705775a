"""The time the agent judges by: its own clock, but never earlier than the newest signed time it has seen.

A clock that lost its battery says 1970, and everything that ever expired would hold again. The index's timestamp says
when it was issued, under its signature. The newest such time is kept on disk, together with the keys that signed it:
when the owners of the root replace those keys, because somebody stole them and signed a time far ahead, it is dropped.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Root, Timestamp

from agent.install.durable import write_durably
from agent.ports import Clock
from shared.trust.index import read_issued

log = logging.getLogger(__name__)


class ReferenceTime:
    """Implements ``agent.ports.Clock`` over the machine's clock.

    Args:
        path: Where the newest signed time is kept; its folder must exist when one is learned.
    """

    def __init__(self, clock: Clock, path: Path) -> None:
        self._clock = clock
        self._path = path
        self._floor, self._keys = _read(path)

    def now(self) -> datetime:
        """Aware UTC, never earlier than the newest signed time."""
        now = self._clock.now()
        return now if self._floor is None else max(now, self._floor)

    def monotonic_s(self) -> float:
        """Seconds on a clock nobody sets."""
        return self._clock.monotonic_s()

    def under(self, root: Root) -> datetime:
        """The time to judge the index by once this root is known; times that other keys signed are forgotten."""
        if self._keys != _timestamp_keys(root):
            self._floor = None
        return self.now()

    def learn(self, root: Root, timestamp: Timestamp) -> None:
        """Take note of when a verified timestamp was issued.

        What claims to be issued after its own end is not believed.

        Raises:
            OSError: It cannot be kept.
        """
        issued = read_issued(timestamp)
        if issued is None or issued > timestamp.expires:
            return
        if self._floor is None or issued > self._floor:
            self._floor, self._keys = issued, _timestamp_keys(root)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._path, _write(issued, self._keys))


def _timestamp_keys(root: Root) -> frozenset[str]:
    return frozenset(root.roles[Timestamp.type].keyids)


def _write(issued: datetime, keys: frozenset[str]) -> bytes:
    return json.dumps({"issued": issued.isoformat(), "keys": sorted(keys)}).encode()


def _read(path: Path) -> tuple[datetime | None, frozenset[str]]:
    try:
        document = json.loads(path.read_bytes())
        return datetime.fromisoformat(document["issued"]), frozenset(document["keys"])
    except FileNotFoundError:
        return None, frozenset()
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read, the clock alone is believed until the next refresh: %r", path, error)
        return None, frozenset()
