"""What the data plane costs on real tables: calls are counted on the wire to Azurite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from tests.support.data_plane import DataPlane
from tests.support.rollouts import ODD_DEVICES
from tests.support.tables import CallCounter, new_table

S = RolloutState


class RealTables:
    """Fresh tables in Azurite, with their calls counted."""

    def __init__(self, connection: str, stack: ExitStack) -> None:
        self.rollout_calls = CallCounter()
        self.device_calls = CallCounter()
        self.rollouts = AzureRollouts(stack.enter_context(new_table(connection, "rollout", self.rollout_calls)))
        self.devices = AzureDevices(stack.enter_context(new_table(connection, "devices", self.device_calls)))

    def forget(self) -> None:
        """Count from here."""
        self.rollout_calls.calls.clear()
        self.device_calls.calls.clear()

    @property
    def total(self) -> int:
        """Calls to both tables."""
        return self.rollout_calls.total + self.device_calls.total


@pytest.fixture
def tables(storage_connection: str) -> Iterator[RealTables]:
    with ExitStack() as stack:
        yield RealTables(storage_connection, stack)


def plane_over(tables: RealTables, names: list[str]) -> DataPlane:
    return DataPlane(names, rollouts=tables.rollouts, devices=tables.devices)


def fold_costs(plane: DataPlane, tables: RealTables, devices: Sequence[str], state: str, at: int) -> int:
    """Calls it takes to fold one report of each device, told together."""
    plane.events.events.clear()
    plane.relay([plane.says(name, state, at) for name in devices])
    tables.forget()
    plane.fold()
    return tables.total


def test_a_thousand_devices_cost_few_transactions_from_dispatch_to_settlement(tables: RealTables) -> None:
    plane = plane_over(tables, [f"gw-{number}" for number in range(1000)])
    tables.forget()
    for batch in plane.batches:
        plane.dispatch(batch)
    assert 22 <= tables.rollout_calls.calls["POST"] <= 24
    assert tables.rollout_calls.calls["GET"] <= 11

    assert fold_costs(plane, tables, list(plane.names), "installing", 1) <= 25
    assert fold_costs(plane, tables, list(plane.names), "succeeded", 2) <= 25
    assert plane.counters().of(S.SUCCEEDED) == 1000

    tables.forget()
    for batch in plane.batches:
        plane.visit(batch)
    assert 11 * 3 <= tables.total <= 11 * 3 + 1
    assert {plane.record(name).held_by for name in plane.names[:5]} == {None}


def test_reads_are_ranges_where_reports_stand_close_and_single_rows_where_they_do_not(tables: RealTables) -> None:
    plane = DataPlane([f"gw-{number}" for number in range(2000)], rollouts=tables.rollouts)
    for batch in plane.batches:
        plane.dispatch(batch)
    fold_costs(plane, tables, plane.names[::10], "downloading", 1)
    # 200 reports are three events: three transactions, and ranges of a thousand rows that may need a second page.
    assert tables.rollout_calls.calls["POST"] == 3
    assert 3 <= tables.rollout_calls.calls["GET"] <= 7
    fold_costs(plane, tables, plane.names[::500], "downloading", 2)
    assert tables.rollout_calls.calls["GET"] == 4
    assert plane.counters().of(S.DOWNLOADING) == 200


def test_device_ids_with_every_allowed_character_go_all_the_way(tables: RealTables) -> None:
    plane = plane_over(tables, [str(device) for device in ODD_DEVICES])
    plane.dispatch()
    plane.relay([plane.says(name, "succeeded", 1) for name in plane.names])
    plane.fold()
    plane.visit()
    assert {plane.row(name).state for name in ODD_DEVICES} == {S.SUCCEEDED}
    assert {plane.record(DeviceId(name)).installed["gateway.firmware"] for name in plane.names} == {"2.0.0"}
    plane.check_counters()
