"""The examples of the pages about campaigns do what the pages say, as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.iot.hub.models import Twin

from cli.local import LocalStack
from demo.devices import register
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import FACTORY_VERSION, Scene
from tests.support.waiting import wait_until
from tests.support.worked_pages import Request, Section, find_differences, read_page

DOCS = Path(__file__).parents[2] / "docs"
WORKED = read_page(DOCS / "campaign-examples.md")
REFERENCE = [section for page in ("campaigns.md", "targets.md") for section in read_page(DOCS / page)]
PACKAGE = "thermostat"
WHOLE = {"name": "thermostats", "package": {"name": PACKAGE, "version": "2.0.0"}, "targets": {"devices": ["d"]}}
VARIANTS = {"thermostat-v1": "v1", "thermostat-v2": "v2"}
LISTED = {"pilots/customers.txt": "pilot-1\npilot-2\n"}


def titles(sections: list[Section]) -> list[str]:
    return [section.title for section in sections]


@pytest.fixture(scope="module")
def published(stack: LocalStack) -> Iterator[None]:
    """The package and the lists that the pages name."""
    scene = Scene(stack, PACKAGE)
    scene.artifacts.publish(FACTORY_VERSION)
    scene.artifacts.publish()
    for name, hardware in VARIANTS.items():
        for version in (FACTORY_VERSION, NEW_VERSION):
            replace(scene.artifacts, name=name).publish(version, hardware=[hardware])
    for name, ids in LISTED.items():
        scene.blobs.get_blob_client("target-lists", name).upload_blob(ids, overwrite=True)
    yield
    scene.close()


@pytest.fixture
def guide(published: None, stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guide]:
    """Somebody who does what a page says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", stack.settings["REQUESTS_CA_BUNDLE"])
    guide = Guide(stack)
    try:
        yield guide
    finally:
        guide.scene.http.delete(f"{stack.api}/stop", timeout=10)
        guide.scene.close()


class Guide:
    """Does what a page says, and looks whether that comes of it."""

    def __init__(self, stack: LocalStack) -> None:
        self.scene = Scene(stack, PACKAGE)
        self.campaign = ""

    def follow(self, request: Request) -> None:
        """Ask; a GET is asked until it answers what the page says."""
        if request.answer is None:
            assert self._ask(request).ok, self._ask(request).text
        elif request.method == "GET":
            last: list[str] = []

            def as_said() -> bool:
                last[:] = self._differences(request)
                return not last

            try:
                wait_until(as_said, timeout_s=45, every_s=0.2)
            except TimeoutError as error:
                raise AssertionError(f"{request.path}: {last}") from error
        else:
            assert not self._differences(request), request

    def have_one_paused(self) -> None:
        """A campaign whose first wave has begun, for requests that need one."""
        devices = [f"shelf-{number}" for number in range(20)]
        register(self.scene.stack.settings["IotHub"], devices)
        assert self.post(WHOLE | {"targets": {"devices": devices}, "waves": [{"count": 1}, {"rest": True}]}).ok
        wait_until(lambda: self._wave_states()[:1] == ["running"], what="the first wave to run")
        assert self.scene.act(self.campaign, "pause").ok

    def _wave_states(self) -> list[str]:
        return [wave["state"] for wave in self.scene.show(self.campaign)["waves"]]

    def post(self, body: dict[str, Any]) -> requests.Response:
        """A campaign, which is ended with the test."""
        return self._ask(Request(method="POST", path="/campaigns", headers={}, body=body))

    def _differences(self, request: Request) -> list[str]:
        assert request.answer is not None
        answer = self._ask(request)
        if answer.status_code != request.answer.status:
            return [f"answered {answer.status_code}: {answer.text}"]
        return list(find_differences(request.answer.body, answer.json() if answer.content else None))

    def _ask(self, request: Request) -> requests.Response:
        url = f"{self.scene.stack.api}{request.path.replace('{id}', self.campaign)}"
        answer = self.scene.http.request(
            request.method, url, headers=request.headers, json=_dated(request.body), timeout=30
        )
        if (request.method, request.path, answer.status_code) == ("POST", "/campaigns", 201):
            self.campaign = answer.json()["id"]
            self.scene.adopt(self.campaign)
        return answer


def _dated(body: Any) -> Any:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return json.loads(json.dumps(body).replace("{tomorrow}", tomorrow))


@pytest.mark.parametrize("section", WORKED, ids=titles(WORKED))
def test_a_worked_example_works(section: Section, guide: Guide) -> None:
    with guide.scene.fleet(section.devices, hardware=section.hardware):
        for device, tags in section.tags.items():
            guide.scene.registry.update_twin(device, Twin(tags=tags))
        for request in section.requests:
            guide.follow(request)


@pytest.mark.parametrize("section", REFERENCE, ids=titles(REFERENCE))
def test_an_example_of_a_reference_page_is_taken(section: Section, guide: Guide) -> None:
    if any("{id}" in request.path for request in section.requests):
        guide.have_one_paused()
    for request in section.requests:
        guide.follow(request)
    for fragment in section.fragments:
        whole = {name: value for name, value in WHOLE.items() if name != "package" or "packages" not in fragment}
        assert guide.post(whole | fragment).status_code == 201, fragment
