"""A device whose rollout failed sends its log by the ticket it has; an operator reads it."""

from __future__ import annotations

from urllib.parse import quote

import requests

from agent.adapters.http_logs import HttpLogUpload
from agent.fleet.behaviour import FAILS_HEALTH
from shared.ports.logs import MAX_LOG_BYTES
from tests.support.scenario_scene import Scene

PAGE = b"<script>alert(1)</script>\n\xff no text at all"


def put(scene: Scene, content: bytes, ticket: str) -> requests.Response:
    headers = {"Groundswell-Ticket": ticket}
    return requests.put(f"{scene.stack.api}/logs", data=content, headers=headers, timeout=30)


def test_a_log_is_sent_by_ticket_and_read_by_operators(scene: Scene) -> None:
    [device] = devices = [f"{scene.name}#1?%'"]
    scene.artifacts.publish()
    with scene.fleet({device: FAILS_HEALTH}):
        campaign = scene.start(devices)
        scene.wait_for_states(campaign, {device: "failed"})
    ticket = scene.desired(device)["update"]["ticket"]
    path = f"campaigns/{campaign}/devices/{quote(device, safe='')}/log"
    assert scene.get(path).status_code == 404

    HttpLogUpload(service_url=scene.stack.api, http=requests.Session()).upload(PAGE, ticket)
    shown = scene.get(path)
    assert (shown.status_code, shown.content) == (200, PAGE)
    assert shown.headers["Content-Type"].startswith("text/plain")
    assert shown.headers["Content-Disposition"] == "attachment"
    assert (shown.headers["X-Content-Type-Options"], shown.headers["Groundswell-Attempt"]) == ("nosniff", "1")

    assert put(scene, b"x" * MAX_LOG_BYTES, ticket).status_code == 204
    refused = put(scene, b"y" * (MAX_LOG_BYTES + 1), ticket)
    assert (refused.status_code, refused.json()["code"]) == (413, "log_too_large")
    assert put(scene, b"z", f"{ticket[:-1]}{'A' if ticket[-1] != 'A' else 'B'}").status_code == 401
    assert put(scene, b"z", "").status_code == 401
    assert put(scene, b"", ticket).status_code == 400
    assert scene.get(path).content == b"x" * MAX_LOG_BYTES
    assert requests.get(f"{scene.stack.api}/{path}", timeout=30).status_code == 401
    assert scene.get(f"campaigns/{campaign}/devices/nobody/log").status_code == 404
