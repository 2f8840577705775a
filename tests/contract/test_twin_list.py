"""Going through all twins with the real IoT Hub service SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.iot.hub.models import Twin, TwinProperties

from shared.adapters.azure_twin_list import AzureTwinList
from shared.ports.errors import PortError
from shared.ports.hub import KnownTwin
from tests.support.hub import LocalHub, connected, local_hub

MANY = [f"dev-{number:03d}" for number in range(120)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.create(*MANY)
        yield hub


def list_all(hub: LocalHub) -> dict[str, KnownTwin]:
    twins, found, continuation = AzureTwinList(hub.service()), {}, ""
    while True:
        page = twins.list_twins(continuation)
        found |= {twin.device: twin for twin in page.items}
        if not (continuation := page.continuation):
            return found


def test_every_twin_is_listed_with_the_higher_of_what_was_offered_and_reported(hub: LocalHub) -> None:
    offered, reported, both = MANY[:3]
    for device, sequence in ((offered, 5), (both, 9)):
        hub.service().update_twin(device, Twin(properties=TwinProperties(desired={"update": {"sequence": sequence}})))
    for device, sequence in ((reported, 7), (both, 8)):
        with connected(hub.device(device)) as client:
            report = {"sequence": sequence, "installed": {"thermostat": "2.0.0"}, "hardware": "rev-b"}
            client.patch_twin_reported_properties({"update": report})
    found = list_all(hub)
    assert set(found) == set(MANY)
    assert [found[device].sequence for device in (offered, reported, both, MANY[3])] == [5, 7, 9, 0]
    assert (found[both].installed, found[both].hardware) == ({"thermostat": "2.0.0"}, "rev-b")
    assert (found[MANY[3]].installed, found[MANY[3]].hardware) == ({}, "")


def test_nonsense_in_a_twin_is_no_sequence(hub: LocalHub) -> None:
    for device, nonsense in zip(MANY[10:14], ("many", -3, {"a": 1}, True), strict=True):
        hub.service().update_twin(device, Twin(properties=TwinProperties(desired={"update": {"sequence": nonsense}})))
    assert [list_all(hub)[device].sequence for device in MANY[10:14]] == [0, 0, 0, 0]


def test_a_hub_that_is_not_there_is_a_port_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    with local_hub(tmp_path_factory.mktemp("gone")) as hub:
        twins = AzureTwinList(hub.service())
    with pytest.raises(PortError):
        twins.list_twins()
