"""What operators do in trouble, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli.__main__ import main
from cli.campaign.acting import COMMANDS
from shared.domain.steps_by_operators import OperatorAction
from tests.support.recorded_api import RecordedApi, recorded_api

CAMPAIGN: dict[str, Any] = {"id": "c1", "name": "spring", "state": "paused", "reason": "", "waves": [], "actions": []}


@pytest.fixture
def api() -> Iterator[RecordedApi]:
    with recorded_api() as api:
        api.answer = (200, CAMPAIGN)
        yield api


def test_every_action_of_the_service_has_a_command() -> None:
    assert set(COMMANDS) == set(OperatorAction)


@pytest.mark.parametrize("action", OperatorAction)
def test_an_action_asks_its_route(api: RecordedApi, action: OperatorAction) -> None:
    needed = [field for field, is_required in COMMANDS[action].fields.items() if is_required]
    words = [word for field in needed for word in (f"--{field}", "2")]
    assert main(["campaign", action, "c1", "--api", api.url, *words]) == 0
    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", f"/campaigns/c1/{action}")
    assert body == ({"wave": 2} if action is OperatorAction.SKIP_WAVE else None)


def test_an_approval_says_what_was_looked_at(api: RecordedApi) -> None:
    said = ["--wave", "2", "--plan-sha256", "ab", "--remark", "seen"]
    assert main(["campaign", "approve", "c1", "--api", api.url, *said]) == 0
    assert api.asked == [("POST", "/campaigns/c1/approve", {"remark": "seen", "wave": 2, "plan_sha256": "ab"})]


def test_the_wave_to_skip_must_be_named(api: RecordedApi) -> None:
    with pytest.raises(SystemExit):
        main(["campaign", "skip-wave", "c1", "--api", api.url])
    assert not api.asked


def test_what_the_service_refuses_is_said_and_ends_with_1(api: RecordedApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (409, {"detail": "c1 is aborted: start does not fit"})
    assert main(["campaign", "start", "c1", "--api", api.url]) == 1
    assert capsys.readouterr().err == "409 c1 is aborted: start does not fit\n"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "401 the function key is missing or wrong"), (404, "404 there is no such")]
)
def test_what_the_functions_host_refuses_without_a_word_is_explained(
    api: RecordedApi, capsys: pytest.CaptureFixture[str], status: int, words: str
) -> None:
    api.answer = (status, {})
    assert main(["campaign", "start", "c1", "--api", api.url]) == 1
    assert capsys.readouterr().err.startswith(words)


def test_the_fleet_is_stopped_with_a_reason_and_released(api: RecordedApi, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = {"stopped": True, "reason": "pumps", "stopped_by": "ada", "stopped_at": "2026-01-01T00:00:00Z"}
    api.answer = (200, {**stopped, "released_by": None, "released_at": None})
    assert main(["stop", "--reason", "pumps", "--api", api.url]) == 0
    assert "by ada: pumps" in capsys.readouterr().out
    api.answer = (200, {**stopped, "stopped": False, "released_by": "grace", "released_at": "2026-01-01T00:01:00Z"})
    assert main(["release", "--api", api.url]) == 0
    assert "released by grace" in capsys.readouterr().out
    assert api.asked == [("POST", "/stop", {"reason": "pumps"}), ("DELETE", "/stop", None)]
    with pytest.raises(SystemExit):
        main(["stop", "--api", api.url])
