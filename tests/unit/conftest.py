"""Fixtures of the tests of the agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Bench, Factory, running_factory


@pytest.fixture
def factory() -> Iterator[Factory]:
    with running_factory() as factory:
        yield factory


@pytest.fixture
def bench(tmp_path: Path, factory: Factory) -> Bench:
    return Bench(folder=tmp_path / "device", factory=factory)
