"""What happened to a campaign is told by a log that an auditor can check without the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.fleet.behaviour import FAILS_HEALTH, OK
from cli.__main__ import main
from emulator.app_environment import app_environment
from tests.support.scenario_scene import Scene

GATE = {"success_percent": 50, "failure_count": 1, "failure_percent": None}


def export(scene: Scene, campaign: str, out: Path) -> list[dict[str, Any]]:
    """The log as the command exports it; its records."""
    key = scene.stack.cloud.host_key
    where = ["--api", scene.stack.api, f"--function-key={key}"]
    assert main(["audit", "export", campaign, "--out", str(out), *where]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def export_key(scene: Scene, out: Path) -> Path:
    """The public key that an auditor is given, from the vault."""
    with app_environment(scene.stack.settings):
        assert main(["keys", "export", "--keys-uri", scene.stack.settings["KEY_VAULT_URI"], "--out", str(out)]) == 0
    return out / "specs.pub"


def test_a_log_is_exported_and_checked_and_an_edited_table_is_found(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I9: a stop, an operator who goes on, and the end; then somebody edits the table."""
    bad, good = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet({bad: FAILS_HEALTH, good: OK}):
        campaign = scene.start([bad, good], gate=GATE)
        scene.wait_for_campaign(campaign, "paused")
        scene.wait_for_states(campaign, {bad: "failed", good: "succeeded"})
        assert scene.act(campaign, "resume").status_code == 200
        scene.wait_for_campaign(campaign, "completed")

    log, key = tmp_path / "campaign.log", export_key(scene, tmp_path / "online")
    records = export(scene, campaign, log)
    assert [record["what"] for record in records] == ["create", "stop", "resume", "pass", "complete"]
    verify = ["audit", "verify", str(log), "--key", str(key)]
    capsys.readouterr()
    assert main(verify) == 0
    assert "5 records are whole and in order, 2 verdicts follow from their facts" in capsys.readouterr().out

    [resume] = scene.tables.query("audit", "PartitionKey eq @c and what eq 'resume'", c=campaign)
    scene.tables.update("audit", resume | {"who": "somebody else"})
    export(scene, campaign, log)
    capsys.readouterr()
    assert main(verify) == 1
    assert "record 3: changed" in capsys.readouterr().err


def test_the_log_comes_in_pages_and_of_unknown_campaigns_there_is_none(scene: Scene) -> None:
    scene.artifacts.publish()
    campaign = scene.start(scene.devices(1))
    for action in ("pause", "cancel"):
        assert scene.act(campaign, action).status_code == 200
    found, continuation = [], ""
    for _ in range(3):
        page = scene.get(f"campaigns/{campaign}/audit", size="1", continuation=continuation).json()
        found += [record["what"] for record in page["records"]]
        continuation = page["continuation"] or ""
    assert (found, continuation) == (["create", "pause", "cancel"], "")
    assert scene.get("campaigns/nobody/audit").status_code == 404
    assert scene.get(f"campaigns/{campaign}/audit", continuation="x").status_code == 400
