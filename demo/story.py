"""The story the demo tells: artifacts, a campaign that goes well, and one that is stopped by its gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from demo.artifacts import APPLICATION, APPLICATION_VERSION, FIRMWARE, FIRMWARE_VERSION, Artifact
from demo.devices import Fleet
from demo.operator import Operator
from demo.screen import Screen
from demo.truth import find_lies, find_miscounts
from demo.view import show_campaign, show_rows

INGEST_TIMEOUT_S = 60.0
CAMPAIGN_TIMEOUT_S = 150.0
POLL_S = 0.25
SHOWN_ROWS = 8
ENDED = frozenset({"completed", "paused", "aborted"})
IN_FLIGHT = frozenset({"offered", "downloading", "downloaded", "installing", "restarting"})


@dataclass(kw_only=True)
class Story:
    """Tells the acts one after the other and keeps what did not come true."""

    operator: Operator
    fleet: Fleet
    screen: Screen
    devices: Sequence[str]
    untruths: list[str] = field(default_factory=list)

    def drop_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        """Upload all of them and wait until each is a package or in quarantine."""
        self.screen.announce("Four artifacts are dropped into the container incoming")
        for artifact in artifacts:
            self.operator.drop(artifact)
            signed = "signed" if artifact.signature else "not signed"
            self.screen.say(f"  {artifact.blob_name}  ({artifact.path.stat().st_size:,} bytes, {signed})")
        self._wait(lambda: not self.operator.waiting_artifacts(), INGEST_TIMEOUT_S, "incoming to be empty")
        self._wait(lambda: len(self._published()) == 2, INGEST_TIMEOUT_S, "two published packages")
        packages, refusals = self._published(), self.operator.refusals()
        self.screen.show(
            show_rows("table packages: signed and indexed", packages, ["name", "version", "kind", "sha256"])
        )
        self.screen.show(show_rows("container quarantine", refusals, ["artifact", "code", "reason", "advice"]))
        self._expect(len(refusals) == 2, "two artifacts were to be refused")

    def roll_out_firmware(self) -> None:
        """A campaign that goes well: one device, a tenth, the rest."""
        gate = {"success_percent": 95, "failure_percent": 5, "soak_s": 2}
        waves = [
            {"name": "canary", "count": 1, "gate": gate},
            {"name": "a tenth", "percent": 10, "gate": gate},
            {"name": "the rest", "rest": True, "gate": gate},
        ]
        self.screen.announce(
            f"One HTTP call starts a campaign: {FIRMWARE} {FIRMWARE_VERSION} to {len(self.devices)} devices"
        )
        campaign = self._run("Firmware for every thermostat", FIRMWARE, FIRMWARE_VERSION, waves)
        self._expect(campaign["state"] == "completed", f"the campaign was to complete: {campaign['reason']}")

    def roll_out_broken_application(self) -> None:
        """A campaign whose package fails the devices' self-test: they roll back, and the gate pauses it."""
        trial = {"success_percent": 0, "failure_percent": 100, "soak_s": 1}
        gate = {"success_percent": 90, "failure_percent": 20}
        waves = [
            {"name": "one to look at", "count": 1, "gate": trial},
            {"name": "a tenth", "percent": 10, "gate": gate},
            {"name": "the rest", "rest": True, "gate": gate},
        ]
        self.screen.announce(
            f"{APPLICATION} {APPLICATION_VERSION} fails the devices' self-test: they go back, the gate stops it"
        )
        campaign = self._run("A better application", APPLICATION, APPLICATION_VERSION, waves)
        states = [wave["state"] for wave in campaign["waves"]]
        self._expect(campaign["state"] == "paused", "the gate was to pause the campaign")
        self._expect(states == ["passed", "failed", "pending"], f"the gate was to stop the second wave: {states}")

    def _run(self, name: str, package: str, version: str, waves: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        request = {
            "name": name,
            "package": {"name": package, "version": version},
            "targets": {"query": "SELECT deviceId FROM devices"},
            "waves": waves,
        }
        campaign_id = self.operator.start_campaign(request, key=f"groundswell-demo-{package}")
        campaign = self._watch(campaign_id)
        self._compare(campaign, package, version)
        return campaign

    def _watch(self, campaign_id: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + CAMPAIGN_TIMEOUT_S
        with self.screen.live() as show:
            while True:
                campaign = self.operator.campaign(campaign_id)
                show(show_campaign(campaign))
                if _is_over(campaign) or time.monotonic() > deadline:
                    return campaign
                time.sleep(POLL_S)

    def _compare(self, campaign: Mapping[str, Any], package: str, version: str) -> None:
        """The same facts as plain table queries, held against what each device really runs."""
        where = "PartitionKey ge @low and PartitionKey lt @high and device ne ''"
        low, high = f"{campaign['id']}~", f"{campaign['id']}~~"
        rows = self.operator.query("rollout", where, low=low, high=high)
        told = sorted(rows, key=lambda row: (row["wave"], row["state"], row["device"]))
        columns = ["device", "wave", "state", "code", "detail", "installed"]
        title = f"table rollout: {where}  (low={low} high={high}), {SHOWN_ROWS} of {len(rows)} rows"
        self.screen.show(show_rows(title, told[:SHOWN_ROWS], columns))
        lies = find_lies(rows, self.fleet.installed, package=package, version=version)
        lies += find_miscounts(rows, campaign["waves"])
        self._expect(len(rows) == len(self.devices), f"{len(self.devices)} rows were expected, {len(rows)} found")
        for lie in lies:
            self._expect(False, lie)
        if not lies:
            self.screen.say(f"[green]All {len(rows)} rows say what their devices really run.[/]")

    def _published(self) -> list[dict[str, Any]]:
        return self.operator.query("packages", "state eq @state", state="published")

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}")
            time.sleep(POLL_S)

    def _expect(self, came_true: bool, sentence: str) -> None:
        if not came_true:
            self.untruths.append(sentence)
            self.screen.say(f"[bold red]{sentence}[/]")


def _is_over(campaign: Mapping[str, Any]) -> bool:
    """Whether it ended and no device is still under way; a paused campaign's devices finish what they began."""
    return campaign["state"] in ENDED and not any(IN_FLIGHT & wave["counters"].keys() for wave in campaign["waves"])
