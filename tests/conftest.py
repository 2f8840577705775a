"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.azurite import private_azurite


@pytest.fixture(scope="session")
def storage_connection() -> Iterator[str]:
    """The connection string of an Azurite that lives as long as the test run."""
    with private_azurite() as connection:
        yield connection
