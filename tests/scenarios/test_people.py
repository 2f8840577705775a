"""Who may do what: tokens, roles, approval by others, and campaigns that start and end by the clock."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cli.local import LocalStack
from cli.token import get_token
from shared.domain.ids import DeviceId
from tests.support.scenario import functions_told
from tests.support.scenario_scene import FACTORY_VERSION, Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until


class People:
    """Calls of the service as somebody."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    def token(self, name: str, *roles: str, **form: str) -> str:
        return get_token(self._stack.settings, name=name, roles=list(roles), **form)

    def call(self, token: str, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, f"{self._stack.api}/{path}", json=body, headers=headers, timeout=30)

    def roll_keys(self) -> None:
        """The issuer signs with a new key from now on."""
        url = self._stack.settings["LOGIN_TOKEN_URL"].replace("oauth2/v2.0/token", "keys/rotate")
        secret = {"client_secret": self._stack.settings["LOGIN_SECRET"]}
        requests.post(url, data=secret, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def people(stack: LocalStack) -> Iterator[People]:
    with functions_told(stack, {"AUTH_MODE": "entra"}):
        yield People(stack)


def test_two_others_must_approve_before_a_campaign_runs(scene: Scene, people: People) -> None:
    """I9: ada asks, grace and linus agree; everybody is named in the audit log."""
    devices = scene.devices(2)
    scene.artifacts.publish()
    ada, reader = people.token("ada", "operator", "approver"), people.token("rita", "reader")
    scene.http.headers["Authorization"] = f"Bearer {ada}"
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, approval={"required": 2})
        shown = scene.wait_for_campaign(campaign, "awaiting_approval")
        assert (shown["approval"]["given"], shown["approval"]["missing"]) == ([], 2)
        plan = {"wave": 1, "plan_sha256": shown["approval"]["plan_sha256"], "remark": "seen"}
        path = f"campaigns/{campaign}/approve"

        own = people.call(ada, "POST", path, plan)
        assert (own.status_code, own.json()["code"]) == (403, "requester_cannot_approve")
        assert people.call(reader, "POST", path, plan).json()["code"] == "role_missing"
        grace = people.token("grace", "approver")
        assert people.call(grace, "POST", path, plan | {"plan_sha256": "0" * 64}).json()["code"] == "plan_changed"
        first = [people.call(grace, "POST", path, plan) for _ in range(2)]
        assert {answer.status_code for answer in first} == {200}
        assert first[1].json()["approval"]["missing"] == 1
        assert set(scene.tables.states(campaign).values()) == {"planned"}

        second = people.call(people.token("linus", "admin"), "POST", path, plan)
        assert second.json()["state"] == "running"
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)
    log = people.call(reader, "GET", f"campaigns/{campaign}/audit").json()["records"]
    deeds = [
        (entry["what"], entry["who"].partition(" <")[0]) for entry in log if entry["what"] in ("create", "approve")
    ]
    assert deeds == [("create", "ada"), ("approve", "grace"), ("approve", "linus")]


def test_an_operators_revert_of_an_approved_campaign_waits_for_others(scene: Scene, people: People) -> None:
    devices = scene.devices(2)
    scene.artifacts.publish(FACTORY_VERSION)
    scene.artifacts.publish()
    grace = people.token("grace", "approver")
    scene.http.headers["Authorization"] = f"Bearer {people.token('ada', 'operator', 'approver')}"
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, approval={"required": 1})
        scene.wait_for_campaign(campaign, "awaiting_approval")
        path = f"campaigns/{campaign}/approve"
        assert people.call(grace, "POST", path).json()["state"] == "running"
        scene.wait_for_campaign(campaign, "completed")
        assert scene.act(campaign, "revert").json()["state"] == "reverting"
        waiting = scene.wait_for_campaign(campaign, "awaiting_approval")
        assert waiting["reason"] == "the devices go back once 1 more approve"
        assert (waiting["approval"]["about"], waiting["approval"]["missing"]) == ("going back", 1)
        assert waiting["reversion"]["devices"] == {FACTORY_VERSION: 2}
        assert scene.act(campaign, "approve").json()["code"] == "requester_cannot_approve"
        plan = {"plan_sha256": waiting["approval"]["plan_sha256"]}
        assert people.call(grace, "POST", path, plan).json()["state"] == "reverting"
        scene.wait_for_campaign(campaign, "reverted")
        assert {fleet.installed(DeviceId(device))[scene.name] for device in devices} == {FACTORY_VERSION}


def test_each_role_may_do_its_part_and_no_more(scene: Scene, people: People) -> None:
    scene.artifacts.publish()
    body = scene.request(scene.devices(1))
    scene.http.headers["Authorization"] = f"Bearer {people.token('rita', 'reader')}"
    refused = people.call(people.token("rita", "reader"), "POST", "campaigns", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    assert refused.json()["detail"] == "this needs the role operator or admin; you have reader"
    assert people.call(people.token("rita", "reader"), "GET", "campaigns").status_code == 200
    assert people.call(people.token("gus"), "GET", "campaigns").status_code == 403
    assert people.call(people.token("grace", "approver"), "POST", "stop").status_code == 403


def test_only_tokens_open_the_door_and_only_good_ones(scene: Scene, people: People, stack: LocalStack) -> None:
    """Expired, for somebody else, without a signature, none at all, or a function key: nobody gets in."""
    with_key = requests.get(f"{stack.api}/campaigns", headers={"x-functions-key": stack.cloud.host_key}, timeout=30)
    assert with_key.status_code == 401
    assert with_key.headers["WWW-Authenticate"] == "Bearer"
    good = people.token("ada", "admin")
    parts = good.split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "x"}).encode()).rstrip(b"=").decode()
    bad = {
        "expired": people.token("ada", "admin", lifetime="-120"),
        "audience": people.token("ada", "admin", audience="another-api"),
        "unsigned": f"{unsigned}.{parts[1]}.",
        "changed": f"{parts[0]}.{people.token('ada', 'reader').split('.')[1]}.{parts[2]}",
    }
    assert people.call(good, "GET", "campaigns").status_code == 200
    for name, token in bad.items():
        answer = people.call(token, "GET", "campaigns")
        assert answer.status_code == 401, name
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
        assert token not in answer.text


def test_a_new_key_of_the_issuer_is_found_without_a_restart(scene: Scene, people: People) -> None:
    before = people.token("ada", "reader")
    assert people.call(before, "GET", "campaigns").status_code == 200
    people.roll_keys()
    after = people.token("ada", "reader")
    wait_until(
        lambda: people.call(after, "GET", "campaigns").status_code == 200,
        timeout_s=30,
        every_s=0.5,
        what="the new key to be believed",
    )
    assert people.call(before, "GET", "campaigns").status_code == 200
