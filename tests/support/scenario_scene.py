"""One scenario's part of the stage: its own package, its own devices, its own campaigns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import requests
from azure.iot.hub import IoTHubRegistryManager
from azure.storage.blob import BlobServiceClient

from agent.backoff import Backoff
from agent.fleet import Behaviour, DeviceSetup, Environment, FleetThread, Pace, SimulatedFleet
from agent.fleet.behaviour import OK
from cli.local import LocalStack
from demo.devices import register
from shared.adapters.file_keys import load_key_file
from tests.support.scenario_artifacts import NEW_VERSION, Artifacts
from tests.support.scenario_tables import Tables
from tests.support.waiting import wait_until

FACTORY_VERSION = "1.0.0"
HARDWARE = "mk2"
LENIENT = {"success_percent": 0, "failure_percent": None, "silent_percent": None}
"""A gate that stops for nothing and passes at once."""

TIMEOUT_S = 45.0
_QUICK = Pace(
    install_s=(0.01, 0.1),
    restart_s=(0.01, 0.1),
    retry=Backoff(initial_s=0.1, longest_s=1.0),
    longest_pause_s=1.0,
)


class Scene:
    """What a test does as an operator, and the devices it does it to.

    Attributes:
        name: Its package, and the prefix of all its devices.
    """

    def __init__(self, stack: LocalStack, name: str) -> None:
        self.stack = stack
        self.name = name
        storage = stack.settings["Storage"]
        self.tables = Tables(storage)
        self.blobs = BlobServiceClient.from_connection_string(storage)
        self.artifacts = Artifacts(
            name=name, blobs=self.blobs, tables=self.tables, publisher=load_key_file(stack.publisher_key)
        )
        self.registry = IoTHubRegistryManager.from_connection_string(stack.settings["IotHub"])
        self.http = requests.Session()
        self.http.headers["x-functions-key"] = stack.cloud.host_key
        self._campaigns: list[str] = []

    # Devices

    def devices(self, count: int) -> list[str]:
        """Ids for so many devices."""
        return [f"{self.name}-{number:02d}" for number in range(1, count + 1)]

    def fleet(
        self,
        devices: Sequence[str] | Mapping[str, Behaviour],
        *,
        runs: str = FACTORY_VERSION,
        hardware: Mapping[str, str] | None = None,
        installed: Mapping[str, Mapping[str, str]] | None = None,
    ) -> AbstractContextManager[FleetThread]:
        """The devices, registered and ready to be connected; each runs this version of the scene's package, or what
        ``installed`` says."""
        behaviours = devices if isinstance(devices, Mapping) else dict.fromkeys(devices, OK)
        register(self.stack.settings["IotHub"], list(behaviours))
        setups = [
            DeviceSetup(
                connection_string=self.stack.cloud.device_connection_string(device),
                properties={"hardware": (hardware or {}).get(device, HARDWARE)},
                behaviour=behaviour,
                installed=dict((installed or {}).get(device, {self.name: runs})),
            )
            for device, behaviour in behaviours.items()
        ]
        environment = Environment(
            service_url=self.stack.api,
            root_json=self.stack.root_json.read_bytes(),
            ca_file=Path(self.stack.settings["CA_FILE"]),
            index_fresh_s=0.5,
        )
        return FleetThread(SimulatedFleet(setups, environment, pace=_QUICK))

    def desired(self, device: str) -> Mapping[str, Any]:
        """The desired properties of a device, as the service SDK reads them."""
        found: Mapping[str, Any] = self.registry.get_twin(device).properties.desired
        return found

    # Campaigns

    def request(self, devices: Sequence[str], *, version: str = NEW_VERSION, **fields: Any) -> dict[str, Any]:
        """The body that starts a campaign for the scene's package."""
        package = {"name": self.name, "version": version}
        return {"name": self.name, "package": package, "targets": {"devices": list(devices)}, **fields}

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> requests.Response:
        """POST to the service."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"{self.stack.api}/{path}", json=body, headers=headers, timeout=30)

    def get(self, path: str, **parameters: str) -> requests.Response:
        """GET from the service."""
        return self.http.get(f"{self.stack.api}/{path}", params=parameters, timeout=30)

    def start(self, devices: Sequence[str], *, key: str | None = None, **fields: Any) -> str:
        """A campaign for the scene's package; its id."""
        answer = self.post("campaigns", self.request(devices, **fields), key=key)
        assert answer.status_code == 201, answer.text
        self._campaigns.append(answer.json()["id"])
        return self._campaigns[-1]

    def adopt(self, campaign: str) -> None:
        """End a campaign that was started in another way with the scene."""
        self._campaigns.append(campaign)

    def act(self, campaign: str, action: str, **body: Any) -> requests.Response:
        """Do as an operator does; the body says more about it."""
        return self.post(f"campaigns/{campaign}/{action}", body or None)

    def show(self, campaign: str) -> dict[str, Any]:
        """A campaign as the service shows it."""
        answer = self.http.get(f"{self.stack.api}/campaigns/{campaign}", timeout=30)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def campaigns(self) -> list[dict[str, Any]]:
        """The campaigns that the service lists."""
        answer = self.http.get(f"{self.stack.api}/campaigns?size=200", timeout=30)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["campaigns"]
        return found

    def wait_for_campaign(
        self, campaign: str, *states: str, timeout_s: float = TIMEOUT_S, meanwhile: Callable[[], object] = lambda: None
    ) -> dict[str, Any]:
        """The campaign as soon as it is in one of the states; ``meanwhile`` is done between two looks at it."""
        seen: dict[str, Any] = {}

        def reached() -> bool:
            meanwhile()
            seen.update(self.show(campaign))
            return seen["state"] in states or seen["state"] == "aborted"

        try:
            wait_until(reached, timeout_s=timeout_s, every_s=0.15)
        except TimeoutError as error:
            raise TimeoutError(f"{campaign} is not {' or '.join(states)}: {seen}") from error
        assert seen["state"] in states, seen
        return seen

    def wait_for_states(self, campaign: str, wanted: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> None:
        """Return as soon as the rows of these devices are in these states."""

        def reached() -> bool:
            states = self.tables.states(campaign)
            return all(states.get(device) == state for device, state in wanted.items())

        wait_until(reached, timeout_s=timeout_s, every_s=0.1, what=f"{campaign}: {wanted}")

    def close(self) -> None:
        """End what is still going on, so that the next scenario begins in peace."""
        for campaign in self._campaigns:
            if "cancel" in self.show(campaign)["actions"]:
                self.act(campaign, "cancel")
        self.http.close()
        self.blobs.close()
        self.tables.close()
