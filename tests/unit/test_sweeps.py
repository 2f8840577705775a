"""The parts of a timer run whatever becomes of the others."""

from __future__ import annotations

from importlib import import_module

import pytest

from shared.ports.errors import Unavailable
from shared.settings import read_settings
from shared.wiring.run_all import run_all
from shared.wiring.service import Service
from tests.support.settings import complete_environment

# The package hands out a function of the same name.
service_module = import_module("shared.wiring.service")


class Sweeps:
    """Counts the calls of the parts, every one of which fails."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def failing(self, name: str) -> None:
        self.calls.append(name)
        raise Unavailable(name)


def test_a_part_that_fails_leaves_the_others_their_turn_and_is_told_at_the_end() -> None:
    sweeps = Sweeps()
    with pytest.raises(Unavailable, match="first"):
        run_all(lambda: sweeps.failing("first"), lambda: sweeps.failing("second"), lambda: sweeps.calls.append("third"))
    assert sweeps.calls == ["first", "second", "third"]


def test_resuming_publications_does_not_wait_for_campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = Sweeps()
    for name in ("resume_campaigns", "resume_publishing"):
        monkeypatch.setattr(service_module, name, lambda *_args, name=name, **_kwargs: sweeps.failing(name))
    with pytest.raises(Unavailable, match="resume_campaigns"):
        Service(read_settings(complete_environment())).resume()
    assert sweeps.calls == ["resume_campaigns", "resume_publishing"]


def test_rows_are_reconciled_though_no_artifact_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = Sweeps()
    for name in ("_sweep_incoming", "_reconcile_rows"):
        monkeypatch.setattr(Service, name, lambda _self, name=name: sweeps.failing(name))
    with pytest.raises(Unavailable, match="_sweep_incoming"):
        Service(read_settings(complete_environment())).reconcile()
    assert sweeps.calls == ["_sweep_incoming", "_reconcile_rows"]
