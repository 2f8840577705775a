"""The stage that all scenarios share, and a scene of its own for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import pytest

from cli.local import LocalStack
from tests.support.scenario import scenario_stack
from tests.support.scenario_scene import Scene

_numbers = count(1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The local cloud with the service in it."""
    with scenario_stack(tmp_path_factory.mktemp("cloud")) as stack:
        yield stack


@pytest.fixture
def scene(stack: LocalStack, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Names that no other scenario uses, on a cloud without faults and with a functions host that runs."""
    # The IoT Hub SDK takes the authority behind the local hub's certificate from the environment only.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", stack.settings["REQUESTS_CA_BUNDLE"])
    words = re.sub(r"[^a-z]+", "-", request.node.name.removeprefix("test_"))[:24].strip("-")
    scene = Scene(stack, f"s{next(_numbers):02d}-{words}")
    try:
        yield scene
    finally:
        stack.cloud.faults.clear()
        stack.cloud.control.set_throttle("off")
        if not stack.cloud.functions_running:
            stack.cloud.restart_functions()
        scene.close()
