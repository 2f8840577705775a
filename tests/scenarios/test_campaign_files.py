"""Campaigns as code: the command line against the service, as an operator runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.__main__ import main
from demo.devices import register
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import Scene

type Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(scene: Scene, capsys: pytest.CaptureFixture[str]) -> Run:
    """A subcommand of ``campaign``; its exit status, and all that it printed."""

    def run(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        where = ["--api", scene.stack.api, f"--function-key={scene.stack.cloud.host_key}"]
        status = main(["campaign", *(str(word) for word in words), *where])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def write(
    path: Path, scene: Scene, targets: str, *, revision: int = 1, version: str = NEW_VERSION, more: str = ""
) -> Path:
    path.write_text(
        f"""\
groundswell: 1
campaigns:
  - name: {scene.name}
    revision: {revision}
    package: {{name: {scene.name}, version: "{version}"}}
    targets: {targets}
    waves:
      - {{name: canary, count: 1}}
      - {{name: all, rest: true}}
{more}"""
    )
    return path


def campaigns_of(scene: Scene) -> list[str]:
    found = scene.http.get(f"{scene.stack.api}/campaigns?size=200", timeout=30).json()["campaigns"]
    return [campaign["id"] for campaign in found if campaign["name"] == scene.name]


def test_a_file_is_planned_applied_once_and_refused_once_it_drifts(scene: Scene, run: Run, tmp_path: Path) -> None:
    devices = scene.devices(4)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    file = write(tmp_path / "spring.yaml", scene, f"{{devices: [{', '.join(devices[:3])}]}}")

    status, planned = run("plan", file)
    assert (status, campaigns_of(scene)) == (0, []), planned
    assert "would be created" in planned
    assert "3 devices; 0 held by other campaigns" in planned
    assert "! waves.0.gate.success_percent" in planned

    assert run("apply", file)[0] == 0
    (campaign,) = campaigns_of(scene)
    status, again = run("apply", file)
    assert (status, campaigns_of(scene)) == (0, [campaign])
    assert f"unchanged ({campaign}" in again

    write(file, scene, f"{{devices: [{', '.join(devices)}]}}")
    for command in ("plan", "apply"):
        status, drifted = run(command, file)
        assert status == 1
        assert "drift: a campaign of this name and revision was made from other content" in drifted
        assert f"{file}:6: targets.devices: 3 devices (sha256 " in drifted
    assert campaigns_of(scene) == [campaign]

    write(file, scene, f"{{devices: [{devices[3]}]}}", revision=2)
    assert run("apply", file)[0] == 0
    assert len(campaigns_of(scene)) == 2
    for each in campaigns_of(scene):
        scene.act(each, "cancel")


def test_drift_is_named_by_the_lines_of_the_file(scene: Scene, run: Run, tmp_path: Path) -> None:
    devices = scene.devices(2)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    targets = f"{{devices: [{', '.join(devices)}]}}"
    text = """\
    gate:
      soak_s: 0
    rate:
      devices_per_minute: 60
    priority: 400
"""
    file = write(tmp_path / "spring.yaml", scene, targets, more=text)
    assert run("apply", file)[0] == 0
    (campaign,) = campaigns_of(scene)

    write(file, scene, targets, more=text.replace("60", "90").replace("400", "401").replace("soak_s: 0", "soak_s: 9"))
    status, drifted = run("plan", file)

    assert status == 1
    told = [line.strip().removeprefix(f"{file}:") for line in drifted.splitlines() if "in the file" in line]
    assert sorted(told) == [
        "11: gate.soak_s: 0 in the campaign, 9 in the file",
        "13: rate.devices_per_minute: 60 in the campaign, 90 in the file",
        "14: priority: 400 in the campaign, 401 in the file",
    ]
    scene.act(campaign, "cancel")


def test_waves_edited_by_hand_are_drift(scene: Scene, run: Run, tmp_path: Path) -> None:
    devices = scene.devices(3)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    file = write(tmp_path / "spring.yaml", scene, f"{{devices: [{', '.join(devices)}]}}")
    assert run("apply", file)[0] == 0
    (campaign,) = campaigns_of(scene)
    scene.wait_for_campaign(campaign, "running")
    assert run("pause", campaign)[0] == 0
    edited = scene.http.patch(
        f"{scene.stack.api}/campaigns/{campaign}/waves",
        json={"waves": [{"name": "half", "count": 1}, {"name": "others", "rest": True}]},
        timeout=30,
    )
    assert edited.status_code == 200, edited.text

    status, drifted = run("apply", file)

    assert status == 1
    assert "drift: the campaign was changed by hand since it was made" in drifted
    assert "half in the campaign" in drifted
    status, shown = run("cancel", campaign)
    assert (status, "aborted" in shown) == (0, True)
    assert campaign in run("list")[1]


def test_a_query_is_waited_for_and_mistakes_are_named_with_their_line(scene: Scene, run: Run, tmp_path: Path) -> None:
    devices = scene.devices(5)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    query = f"{{query: \"SELECT * FROM devices WHERE STARTSWITH(deviceId, '{scene.name}-')\"}}"  # noqa: S608
    status, planned = run("plan", write(tmp_path / "spring.yaml", scene, query))
    assert status == 0, planned
    assert "5 devices; 0 held" in planned

    file = write(tmp_path / "bad.yaml", scene, query.replace("STARTSWITH(", "NONSENSE nonsense("))
    status, refused = run("plan", file)
    assert status == 1
    assert f"{file}:6: campaigns.0.targets.query: " in refused
    unknown = write(tmp_path / "unknown.yaml", scene, query, version="9.9.9")
    assert f"there is no package {scene.name} 9.9.9" in run("apply", unknown)[1]
    assert campaigns_of(scene) == []
