"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.azurite import private_azurite

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def storage_connection() -> Iterator[str]:
    """The connection string of an Azurite that lives as long as the test run."""
    with private_azurite() as connection:
        yield connection
