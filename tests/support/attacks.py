"""The steps that attack tests share: an honest update before, an honest update after, and what the device says."""

from __future__ import annotations

from tests.support.agent import Bench


class Victim:
    """A device under attack.

    Attributes:
        sequence: Of the newest offer it was made.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sequence = 0

    def update(self, version: str, **intent: object) -> None:
        """An honest publication, an honest offer, and a device that takes both."""
        package = self.bench.factory.firmware(version, f"image {version}".encode())
        self.sequence += 1
        self.bench.hub.put(self.bench.factory.offer(package, self.sequence, **intent))
        assert self.outcome() == ("succeeded", "")
        assert self.bench.runs == {"engine": version}

    def outcome(self) -> tuple[str, str]:
        """State and code of the device's next end."""
        self.bench.run_until()
        report = self.bench.hub.reports[-1]
        return report["state"], report["code"]

    def resists(self, outcome: tuple[str, str], *, running: str) -> None:
        """The device ends with that and still runs what it ran."""
        assert self.outcome() == outcome
        assert self.bench.runs == {"engine": running}
