"""Sweeping ``incoming``: what the events missed, and what crashed the function, ends somewhere."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import timedelta

import pytest

from shared.domain.artifacts.refusals import Refusal
from shared.handlers.ingest_package import PackageIntake
from shared.handlers.sweep_incoming import IncomingSweep, Swept
from shared.ports.bus import MessageSender, OutgoingMessage, Queue
from shared.ports.errors import Unavailable
from shared.ports.packages import CrashReport, IncomingArtifact
from tests.support.artifacts import mcuboot_image
from tests.support.memory_packages import (
    NOON,
    MemoryArtifacts,
    MemoryCrashReports,
    MemoryPackages,
    MemoryParking,
    MemorySender,
)
from tests.support.repository import unsigned_allowed

PATH = "gateway-fw/1.2.3/image.bin"
OLD = NOON - timedelta(minutes=11)


class FaultyArtifacts(MemoryArtifacts):
    """A store that fails over one artifact."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Exception] = {}

    def stream(self, artifact: IncomingArtifact) -> Generator[bytes]:
        if artifact.name in self.faults:
            raise self.faults[artifact.name]
        return super().stream(artifact)


class BrokenSender:
    """A sender with a bug."""

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        raise ZeroDivisionError("a bug")


class World:
    def __init__(self) -> None:
        self.store, self.packages = FaultyArtifacts(), MemoryPackages()
        self.crash_reports, self.parking = MemoryCrashReports(), MemoryParking()
        self.sender: MessageSender = MemorySender()

    def sweep(self) -> Swept:
        intake = PackageIntake(
            store=self.store, packages=self.packages, sender=self.sender, authorities=unsigned_allowed
        )
        sweep = IncomingSweep(intake=intake, crash_reports=self.crash_reports, parking=self.parking)
        return sweep.sweep_incoming(now=NOON)

    def codes(self) -> list[str]:
        return [blob.metadata["code"] for blob in self.store.quarantine.values() if blob.metadata]

    def report_crash(self, name: str, etag: str, container: str = "incoming") -> None:
        body = json.dumps({"BlobName": name}).encode()
        report = CrashReport(receipt=f"r-{name}", body=body, container=container, blob_name=name, etag=etag)
        self.crash_reports.reports.append(report)


def test_artifact_dropped_while_nothing_ran_is_found_later() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image(), at=OLD)
    assert world.sweep() == Swept(taken_in=1)
    assert len(world.packages.rows) == 1
    assert world.store.incoming == {}


def test_fresh_artifact_is_left_to_its_event() -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image(), at=NOON - timedelta(minutes=9))
    assert world.sweep() == Swept()
    assert PATH in world.store.incoming


def test_artifact_over_which_the_function_crashed_ends_in_quarantine() -> None:
    world = World()
    artifact = world.store.drop(PATH, b"crash me")
    world.store.faults[PATH] = ZeroDivisionError("a bug")
    world.report_crash(PATH, artifact.etag)
    assert world.sweep() == Swept(crashed=1)
    assert world.codes() == [Refusal.FUNCTION_CRASHED]
    assert world.store.incoming == {}
    assert world.crash_reports.reports == []


def test_good_artifact_that_the_host_gave_up_in_an_outage_is_taken_in_once_that_is_over() -> None:
    world = World()
    artifact = world.store.drop(PATH, mcuboot_image())
    world.report_crash(PATH, artifact.etag)
    world.store.faults[PATH] = Unavailable("down")
    with pytest.raises(Unavailable):
        world.sweep()
    assert (list(world.store.incoming), len(world.crash_reports.reports)) == ([PATH], 1)
    world.store.faults.clear()
    assert world.sweep() == Swept(taken_in=1)
    assert (world.store.incoming, world.crash_reports.reports, world.codes()) == ({}, [], [])
    assert len(world.packages.rows) == 1


def test_artifact_whose_package_was_accepted_before_the_bug_struck_is_not_quarantined_as_well() -> None:
    world = World()
    artifact = world.store.drop(PATH, mcuboot_image())
    world.report_crash(PATH, artifact.etag)
    world.sender = BrokenSender()
    assert world.sweep() == Swept(taken_in=1)
    assert (world.store.incoming, world.codes(), len(world.packages.rows)) == ({}, [], 1)


@pytest.mark.parametrize("etag", ['"0xOLD"', "0xOLD"])
def test_crash_over_bytes_that_were_replaced_spares_the_new_ones(etag: str) -> None:
    world = World()
    world.store.drop(PATH, mcuboot_image())
    world.report_crash(PATH, etag)
    assert world.sweep() == Swept()
    assert PATH in world.store.incoming
    assert world.crash_reports.reports == []


def test_crash_over_bytes_that_are_gone_is_done() -> None:
    world = World()
    world.report_crash(PATH, '"0x1"')
    assert world.sweep() == Swept()
    assert world.crash_reports.reports == []


def test_crash_report_that_cannot_be_read_is_parked() -> None:
    world = World()
    world.crash_reports.reports.append(CrashReport(receipt="r", body=b"garbage"))
    world.report_crash("x", "", container="elsewhere")
    world.sweep()
    assert [(source, code) for source, _, code in world.parking.parked] == [("blob-poison", "malformed_message")] * 2
    assert world.crash_reports.reports == []


def test_artifact_that_crashes_the_sweep_too_is_quarantined_and_the_others_go_on() -> None:
    world = World()
    world.store.drop("a/1.0.0/bug.bin", b"x", at=OLD)
    world.store.drop(PATH, mcuboot_image(), at=OLD)
    world.store.faults["a/1.0.0/bug.bin"] = ZeroDivisionError("a bug")
    assert world.sweep() == Swept(taken_in=1, quarantined=1)
    assert world.codes() == [Refusal.FUNCTION_CRASHED]


def test_outage_over_one_artifact_leaves_it_and_goes_on() -> None:
    world = World()
    world.store.drop("a/1.0.0/stuck.bin", b"x", at=OLD)
    world.store.drop(PATH, mcuboot_image(), at=OLD)
    world.store.faults["a/1.0.0/stuck.bin"] = Unavailable("down")
    with pytest.raises(Unavailable):
        world.sweep()
    assert list(world.store.incoming) == ["a/1.0.0/stuck.bin"]
    assert len(world.packages.rows) == 1


def test_description_left_alone_is_quarantined_after_an_hour() -> None:
    world = World()
    world.store.drop("a.bin.package.json", b"{}", at=NOON - timedelta(minutes=59))
    world.store.drop("b.bin.package.json", b"{}", at=NOON - timedelta(minutes=61))
    assert world.sweep() == Swept(quarantined=1)
    assert list(world.store.incoming) == ["a.bin.package.json"]
    assert world.codes() == [Refusal.SIDECAR_ALONE]


def test_old_description_is_read_with_its_old_artifact() -> None:
    world = World()
    long_ago = NOON - timedelta(hours=5)
    world.store.drop("a.bin", mcuboot_image(), at=long_ago)
    world.store.drop("a.bin.package.json", b'{"name": "described"}', at=long_ago)
    assert world.sweep() == Swept(taken_in=1)
    assert [name for name, _ in world.packages.rows] == ["described"]
    assert world.store.incoming == {}
