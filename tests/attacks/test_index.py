"""Attacks on the index, by whoever holds the storage account, the network between, or some of the keys."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Snapshot, Timestamp

from tests.support.agent import Bench, Factory, MovedClock
from tests.support.agent_service import SignedIndex, new_signer
from tests.support.attacks import Victim

REFUSED = ("rejected", "index_refused")
UNAVAILABLE = ("failed", "index_unavailable")
DAY = timedelta(days=1)


def _offer_next(bench: Bench, factory: Factory, victim: Victim, version: str = "1.2.0") -> None:
    """The offer of a package that the index, as it now is, should tell of."""
    package = factory.firmware(version, f"image {version}".encode())
    victim.sequence += 1
    bench.hub.put(factory.offer(package, victim.sequence))


def test_rollback_of_index(bench: Bench, factory: Factory) -> None:
    """A thief of the storage account puts yesterday's genuine files back."""
    yesterday = dict(factory.index.files)
    victim = Victim(bench)
    victim.update("1.1.0")
    _offer_next(bench, factory, victim)
    today = factory.index.files

    factory.index.files = yesterday
    victim.resists(REFUSED, running="1.1.0")

    factory.index.files = today
    _offer_next(bench, factory, victim, "1.3.0")
    assert victim.outcome() == ("succeeded", "")


def test_freeze(bench: Bench, factory: Factory) -> None:
    """Somebody between keeps serving a state that was genuine once, so that devices do not hear of newer ones."""
    victim = Victim(bench)
    victim.update("1.1.0")
    frozen = dict(factory.index.files)
    bench.clock = MovedClock(8 * DAY)

    _offer_next(bench, factory, victim)
    factory.index.files = frozen
    victim.resists(UNAVAILABLE, running="1.1.0")


def test_freeze_of_an_offer_by_a_clock_that_was_set_back(bench: Bench, factory: Factory) -> None:
    """An offer withheld until its intent has expired, for a device whose clock lost its battery and says 1970."""
    victim = Victim(bench)
    victim.update("1.1.0")
    package = factory.firmware("1.2.0", b"image 1.2.0")
    withheld = factory.offer(package, 2, expires=datetime.now(UTC) + DAY)
    factory.index.issued = datetime.now(UTC) + 5 * DAY
    factory.index.publish()
    bench.clock = MovedClock(5 * DAY)
    bench.hub.put(replace(withheld, envelope="{}", sequence=9))
    victim.resists(("rejected", "intent_refused"), running="1.1.0")

    bench.clock = MovedClock(-20_000 * DAY)
    bench.hub.put(withheld)
    victim.resists(("rejected", "intent_expired"), running="1.1.0")

    bench.hub.put(factory.offer(package, 3, expires=datetime.now(UTC) + 6 * DAY))
    assert victim.outcome() == ("succeeded", "")


def test_mix_and_match(bench: Bench, factory: Factory) -> None:
    """A bin of yesterday beside a snapshot of today: each is genuine, together they never were."""
    victim = Victim(bench)
    victim.update("1.1.0")
    old = {name: content for name, content in factory.index.files.items() if ".bin-" in name}
    _offer_next(bench, factory, victim)
    version = factory.index.version
    for name, content in old.items():
        number, _, rest = name.partition(".")
        if int(number) == version - 1:
            factory.index.files[f"{version}.{rest}"] = content

    victim.resists(REFUSED, running="1.1.0")


@pytest.mark.parametrize("role", ["timestamp", "2.snapshot", "2.root"])
def test_endless_data(bench: Bench, factory: Factory, role: str) -> None:
    """A server that never stops sending fills neither memory nor disk."""
    victim = Victim(bench)
    _offer_next(bench, factory, victim, "1.1.0")
    factory.service.faults.endless = {f"{role}.json"}
    factory.service.poured = 0

    victim.resists(UNAVAILABLE, running="1.0.0")
    assert factory.service.poured < 1_600, "the device read on and on"
    kept = sum(path.stat().st_size for path in (bench.folder / "index").rglob("*") if path.is_file())
    assert kept < 100_000

    factory.service.faults.endless = set()
    _offer_next(bench, factory, victim, "1.2.0")
    assert victim.outcome() == ("succeeded", "")


def test_endless_data_in_a_small_parcel(bench: Bench, factory: Factory) -> None:
    """A compressed answer that expands to a gibibyte is cut where the file's limit is, in memory too."""
    victim = Victim(bench)
    _offer_next(bench, factory, victim, "1.1.0")
    factory.service.faults.bombs = {"2.snapshot.json"}
    tracemalloc.start()
    try:
        victim.resists(UNAVAILABLE, running="1.0.0")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100 << 20

    factory.service.faults.bombs = set()
    _offer_next(bench, factory, victim, "1.2.0")
    assert victim.outcome() == ("succeeded", "")


def test_slow_retrieval(bench: Bench, factory: Factory) -> None:
    """A server that sends a byte now and then, so that no read ever times out, holds nobody for ever."""
    bench.slowest_s = 0.3
    victim = Victim(bench)
    _offer_next(bench, factory, victim, "1.1.0")
    factory.service.faults.trickling = {"timestamp.json"}

    victim.resists(UNAVAILABLE, running="1.0.0")

    factory.service.faults.trickling = set()
    _offer_next(bench, factory, victim, "1.2.0")
    assert victim.outcome() == ("succeeded", "")


def test_revoked_key(bench: Bench, factory: Factory) -> None:
    """The owners replaced a stolen key; the thief goes on signing with it."""
    victim = Victim(bench)
    victim.update("1.1.0")
    stolen = factory.index.signers["timestamp"]
    factory.index.rotate("timestamp")
    victim.update("1.2.0")

    genuine = factory.index.signers["timestamp"]
    factory.index.signers["timestamp"] = stolen
    _offer_next(bench, factory, victim, "1.3.0")
    victim.resists(REFUSED, running="1.2.0")

    factory.index.signers["timestamp"] = genuine
    _offer_next(bench, factory, victim, "1.4.0")
    assert victim.outcome() == ("succeeded", "")


def test_key_compromise_below_threshold(tmp_path: Path, factory: Factory) -> None:
    """One of three root keys is stolen, two must sign: the thief's root names his own keys, and nobody follows."""
    index = SignedIndex(root_keys=3, root_threshold=2)
    factory.index = factory.service.index = index
    bench = Bench(folder=tmp_path / "device", factory=factory)
    victim = Victim(bench)
    victim.update("1.1.0")
    index.rotate("snapshot")
    victim.update("1.2.0")

    honest = list(index.root_signers)
    index.root_signers = [honest[0]]
    index.root_threshold = 1
    index.rotate("targets", "snapshot", "timestamp")
    _offer_next(bench, factory, victim, "6.6.6")
    victim.resists(REFUSED, running="1.2.0")


def test_all_online_keys_do_not_make_a_foreign_package(bench: Bench, factory: Factory) -> None:
    """Bins, snapshot, timestamp and intents are all stolen, and the hub too: what nobody published is not installed."""
    victim = Victim(bench)
    victim.update("1.1.0")

    genuine = factory.index.publisher
    factory.index.publisher = new_signer()
    evil = factory.index.add(factory.make_firmware("6.6.6", b"evil"))
    factory.index.publisher = genuine
    factory.service.contents[evil.path] = b"evil"
    factory.index.publish()
    bench.hub.put(factory.offer(evil, 99))

    victim.resists(("rejected", "publisher_refused"), running="1.1.0")


def test_fast_forward_and_recovery(bench: Bench, factory: Factory) -> None:
    """A thief of snapshot and timestamp keys signs the highest versions there are, so that genuine ones look old."""
    victim = Victim(bench)
    victim.update("1.1.0")
    factory.index.versions = {"snapshot": 2**31, "timestamp": 2**31}
    victim.update("1.2.0")

    factory.index.versions = {}
    _offer_next(bench, factory, victim, "1.3.0")
    victim.resists(REFUSED, running="1.2.0")

    factory.index.rotate("snapshot", "timestamp")
    _offer_next(bench, factory, victim, "1.4.0")
    assert victim.outcome() == ("succeeded", "")


def test_a_time_far_ahead_signed_by_a_stolen_key_is_forgotten_with_it(bench: Bench, factory: Factory) -> None:
    """A thief of the timestamp key signs a time years ahead, so that everything genuine looks expired."""
    victim = Victim(bench)
    victim.update("1.1.0")
    honest = factory.index.expires
    factory.index.expires, factory.index.issued = honest + 3650 * DAY, datetime.now(UTC) + 3000 * DAY
    victim.update("1.2.0", expires=datetime.now(UTC) + 3600 * DAY)

    factory.index.expires, factory.index.issued = honest, None
    _offer_next(bench, factory, victim, "1.3.0")
    victim.resists(UNAVAILABLE, running="1.2.0")

    factory.index.rotate("timestamp")
    _offer_next(bench, factory, victim, "1.4.0")
    assert victim.outcome() == ("succeeded", "")


def test_expired_metadata_between_install_and_restart(bench: Bench, factory: Factory) -> None:
    """Everything expires while the device restarts: it comes to its verdict all the same, and takes nothing new."""
    victim = Victim(bench)
    bench.on_restart = lambda: setattr(bench, "clock", MovedClock(400 * DAY))
    victim.update("1.1.0")
    assert bench.restarts == 1

    bench.on_restart = lambda: None
    _offer_next(bench, factory, victim)
    victim.resists(UNAVAILABLE, running="1.1.0")


def test_device_offline_for_longer_than_every_expiry(bench: Bench, factory: Factory) -> None:
    """It comes back after years, to a root three hundred versions on of which all but the last have expired."""
    victim = Victim(bench)
    victim.update("1.1.0")
    past = datetime.now(UTC).replace(microsecond=0) - DAY
    for _ in range(300):
        factory.index.sign_root(expires=past)
    factory.index.expires = datetime.now(UTC).replace(microsecond=0) + 4000 * DAY
    factory.index.rotate("targets", "snapshot", "timestamp")
    bench.clock = MovedClock(3000 * DAY)

    victim.update("1.2.0", expires=datetime.now(UTC) + 3001 * DAY)


def test_index_of_somebody_elses_root(bench: Bench, factory: Factory) -> None:
    """A thief of the storage account puts a whole index of his own in the place of ours."""
    victim = Victim(bench)
    victim.update("1.1.0")
    foreign = SignedIndex()
    factory.index = factory.service.index = foreign
    package = factory.firmware("6.6.6", b"evil")
    bench.hub.put(factory.offer(package, 9))

    victim.resists(REFUSED, running="1.1.0")


def test_snapshot_key_alone(bench: Bench, factory: Factory) -> None:
    """A thief of the snapshot key and the storage account writes a snapshot of his own in the place of the genuine."""
    victim = Victim(bench)
    victim.update("1.1.0")
    _offer_next(bench, factory, victim)
    name = f"{factory.index.version}.snapshot.json"
    forged = Metadata[Snapshot].from_bytes(factory.index.files[name])
    forged.signed.meta["bin-0.json"].version = 1
    forged.sign(factory.index.signers["snapshot"])
    genuine = factory.index.files[name]
    factory.index.files[name] = forged.to_bytes()

    victim.resists(REFUSED, running="1.1.0")

    factory.index.files[name] = genuine
    _offer_next(bench, factory, victim, "1.3.0")
    assert victim.outcome() == ("succeeded", "")


def test_timestamp_key_alone(bench: Bench, factory: Factory) -> None:
    """A thief of the timestamp key and the storage account signs a new timestamp over yesterday's snapshot."""
    victim = Victim(bench)
    victim.update("1.1.0")
    yesterday = Metadata[Timestamp].from_bytes(factory.index.files["timestamp.json"]).signed.snapshot_meta
    victim.update("1.2.0")
    _offer_next(bench, factory, victim, "1.3.0")
    newer = factory.index.version + 1
    forged = Metadata(Timestamp(version=newer, expires=factory.index.expires, snapshot_meta=yesterday))
    forged.sign(factory.index.signers["timestamp"])
    factory.index.files["timestamp.json"] = forged.to_bytes()

    victim.resists(REFUSED, running="1.2.0")
