"""One local cloud with the sample app for all conformance tests that want it."""

from collections.abc import Iterator

import pytest

from emulator.local import LocalCloud
from tests.support.cloud import SAMPLE_APP, Journal, sample_cloud, sample_settings


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, Journal]]:
    with sample_cloud(tmp_path_factory.mktemp("cloud")) as started:
        yield started


@pytest.fixture
def cloud(sample: tuple[LocalCloud, Journal]) -> LocalCloud:
    """The cloud, with the functions host running whatever the test before did to it."""
    started, journal = sample
    if not started.functions_running:
        started.kill_functions()
        started.start_functions(SAMPLE_APP, sample_settings(journal))
    return started


@pytest.fixture
def journal(sample: tuple[LocalCloud, Journal]) -> Journal:
    return sample[1]
