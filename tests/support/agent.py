"""A device under test: the agent's own worker, handlers, slots and downloads; hub, restart and health are faked."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn

import requests

from agent.adapters.clock import SystemClock
from agent.adapters.http_logs import HttpLogUpload
from agent.adapters.http_transfer import HttpTransfer
from agent.adapters.journal_file import FileJournal
from agent.adapters.reference_time import ReferenceTime
from agent.adapters.tuf_index import TufIndex
from agent.backoff import Backoff, Patience
from agent.failure_log import FailureLogSender, LogFile
from agent.inbox import Inbox
from agent.install.debian import DebianHandler
from agent.install.firmware import FirmwareHandler
from agent.install.registry import register
from agent.install.slots import FolderSlots
from agent.installer import Device
from agent.memory import Memory
from agent.ports import ChannelLost, Clock, DesiredChanged, Event, Health, StopRequested
from agent.resuming import Limits
from agent.worker import Manner, Outside, Worker
from shared.domain.ids import CampaignId, DeviceId, package_name
from shared.domain.offers import Intent, Offer
from shared.domain.packages import Package, PackageKind
from shared.domain.versions import Version
from shared.trust.intents import batch_leaves, batch_root, sign_intent
from shared.trust.merkle import merkle_proof
from shared.wire.twins import DEVICE_PROPERTY, write_device_section, write_offer
from tests.support.agent_service import PackageService, SignedIndex

ENDS = ("succeeded", "failed", "rejected")
DEVICE = DeviceId("dev-1")
QUICK = Backoff(initial_s=0.01, longest_s=0.05)


class MovedClock(SystemClock):
    """A clock that is wrong by as much as one likes."""

    def __init__(self, wrong_by: timedelta = timedelta()) -> None:
        self.wrong_by = wrong_by

    def now(self) -> datetime:
        return super().now() + self.wrong_by


class Killed(BaseException):
    """The process was killed here."""


class Restarted(Exception):
    """The device restarted here."""


def make_package(name: str, version: str, content: bytes, kind: PackageKind = PackageKind.FIRMWARE) -> Package:
    return Package(
        name=package_name(name),
        version=Version(version, kind.scheme),
        kind=kind,
        length_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        compatibility={"hardware": ("rev-b",)},
    )


def make_intent(package: Package, claims: list[tuple[DeviceId, int]], **changes: Any) -> Intent:
    now = datetime.now(UTC).replace(microsecond=0)
    intent = Intent(
        campaign=CampaignId("camp-1"),
        path=package.path,
        name=package.name,
        version=package.version.text,
        kind=package.kind.value,
        length_bytes=package.length_bytes,
        sha256=package.sha256,
        issued=now,
        expires=now + timedelta(hours=1),
        allow_downgrade=False,
        root=batch_root(claims),
    )
    return replace(intent, **changes)


class Factory:
    """Publishes packages and makes genuine offers of them."""

    def __init__(self) -> None:
        self.index = SignedIndex()
        self.packages: list[Package] = []
        self.campaign = CampaignId("camp-1")
        self.service = PackageService(self.index)
        self.service.tickets.add("ticket-1")

    def publish(self, package: Package, content: bytes) -> Package:
        package = self.index.add(package)
        self.packages.append(package)
        self.service.contents[package.path] = content
        return package

    def make_firmware(self, version: str, content: bytes, name: str = "engine") -> Package:
        """A firmware package that nobody has published yet."""
        return make_package(name, version, content)

    def firmware(self, version: str, content: bytes = b"image", name: str = "engine") -> Package:
        return self.publish(make_package(name, version, content), content)

    def offer(
        self,
        package: Package,
        sequence: int = 1,
        *,
        device: DeviceId = DEVICE,
        ticket: str = "ticket-1",
        **changes: Any,
    ) -> Offer:
        claims = [(DeviceId("another"), 9), (device, sequence)]
        intent = make_intent(package, claims, **changes)
        return Offer(
            device=device,
            campaign=CampaignId("camp-1"),
            wave=1,
            attempt=1,
            sequence=sequence,
            path=package.path,
            envelope=sign_intent(intent, self.index.intent_signer),
            proof=merkle_proof(batch_leaves(claims), 1),
            ticket=ticket,
        )


@contextmanager
def running_factory() -> Iterator[Factory]:
    factory = Factory()
    with factory.service:
        yield factory


class FakeHub:
    """One device's twin. ``faults`` holds errors for the next reports; ``on_report`` hears every accepted one."""

    def __init__(self) -> None:
        self.desired: dict[str, Any] = {"$version": 1}
        self.reports: list[dict[str, Any]] = []
        self.reported: dict[str, Any] = {}
        self.introductions = 0
        self.introduction_faults: list[Exception] = []
        self.faults: list[Exception] = []
        self.open_faults: list[Exception] = []
        self.on_report: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_twin_read: Callable[[], None] = lambda: None
        self._on_event: Callable[[Event], None] | None = None
        self._session = 0

    @property
    def states(self) -> list[str]:
        return [report["state"] for report in self.reports]

    def open(self, on_event: Callable[[Event], None]) -> int:
        if self.open_faults:
            raise self.open_faults.pop(0)
        self._on_event = on_event
        self._session += 1
        return self._session

    def get_twin(self) -> Mapping[str, Any]:
        self.on_twin_read()
        return {"desired": json.loads(json.dumps(self.desired)), "reported": dict(self.reported)}

    def introduce(self, hardware: str) -> None:
        self.introductions += 1
        if self.introduction_faults:
            raise self.introduction_faults.pop(0)
        self.reported[DEVICE_PROPERTY] = write_device_section(hardware)

    def report(self, document: Mapping[str, Any]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.reports.append(json.loads(json.dumps(document)))
        self.on_report(self.reports[-1])

    def close(self) -> None:
        self._on_event = None

    def drop(self) -> None:
        if self._on_event is not None:
            self._on_event(ChannelLost(session=self._session))

    def put(self, offer: Offer | None, *, version: int | None = None) -> None:
        """Change the desired properties as a service's patch does, and notify the device if it is connected."""
        document = write_offer(offer) if offer is not None else None
        version = version or self.desired["$version"] + 1
        self.desired = {"$version": version} | ({"update": document} if document else {})
        if self._on_event is not None:
            self._on_event(DesiredChanged(patch={"update": document, "$version": version}))


class FakeHealth:
    """Healthy unless ``failure`` says otherwise; may be told to crash."""

    def __init__(self) -> None:
        self.failure = ""
        self.crashes = 0
        self.examined: list[str] = []

    def examine(self, slot: Path, *, name: str, version: str) -> Health:
        self.examined.append(slot.name)
        if self.crashes:
            self.crashes -= 1
            raise Killed
        return Health(is_healthy=not self.failure, detail=self.failure)


class FakeRestarter:
    """Raises instead of restarting; every instance is a boot."""

    boots = 0

    def __init__(self) -> None:
        FakeRestarter.boots += 1
        self.boot_id = f"boot-{FakeRestarter.boots}"

    def restart(self) -> NoReturn:
        raise Restarted


class FullDisk:
    """Lets the guarded methods fail as on a full disk while ``is_full`` says so."""

    def __init__(self, target: Any, is_full: Callable[[], bool], *methods: str) -> None:
        self._target = target
        for method in methods:
            setattr(self, method, self._guard(getattr(target, method), is_full))

    @staticmethod
    def _guard(call: Callable[..., Any], is_full: Callable[[], bool]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if is_full():
                raise OSError(errno.ENOSPC, "no space left")
            return call(*args, **kwargs)

        return guarded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class CrashPoints:
    """Counts the points where a process could be killed, and kills it at the wanted one."""

    def __init__(self) -> None:
        self.passed = 0
        self.fatal: int | None = None
        self.names: list[str] = []

    def guard[**P, T](self, name: str, call: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            self._pass(f"before {name}")
            result = call(*args, **kwargs)
            self._pass(f"after {name}")
            return result

        return guarded

    def _pass(self, name: str) -> None:
        self.passed += 1
        self.names.append(name)
        if self.passed == self.fatal:
            raise Killed


class Guarded:
    """Any object, some of its methods guarded by crash points."""

    def __init__(self, target: Any, points: CrashPoints, *methods: str) -> None:
        self._target = target
        for method in methods:
            setattr(self, method, points.guard(method, getattr(target, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@dataclass
class Bench:
    """A device on a bench: run it, kill it, look into its slots."""

    folder: Path
    factory: Factory
    hub: FakeHub = field(default_factory=FakeHub)
    health: FakeHealth = field(default_factory=FakeHealth)
    properties: dict[str, str] = field(default_factory=lambda: {"hardware": "rev-b"})
    installed: dict[str, str] = field(default_factory=lambda: {"engine": "1.0.0"})
    points: CrashPoints = field(default_factory=CrashPoints)
    patience: Patience = field(default_factory=lambda: Patience(attempts=4, give_up_after_s=30, backoff=QUICK))
    journal_is_full: Callable[[], bool] = lambda: False
    slots_are_full: Callable[[], bool] = lambda: False
    restarts: int = 0
    on_restart: Callable[[], None] = lambda: None
    on_kill: Callable[[], object] = lambda: None
    kills: int = 0
    clock: Clock = field(default_factory=SystemClock)
    slowest_s: float = 10.0
    born_with: bytes = b""
    log_file: LogFile | None = None
    zone: tzinfo = UTC
    name: DeviceId = DEVICE

    def __post_init__(self) -> None:
        self.born_with = self.born_with or self.factory.index.root

    def reference_time(self) -> datetime:
        """The time the device judges by."""
        return ReferenceTime(self.clock, self.folder / "index" / "issued.json").now()

    @property
    def slots(self) -> FolderSlots:
        return FolderSlots(top=self.folder / "slots")

    @property
    def memory(self) -> Memory:
        return FileJournal(self.folder / "journal.json").read()

    @property
    def runs(self) -> Mapping[str, str]:
        return self.slots.installed(self.slots.active())

    def run_until(self, done: Callable[[dict[str, Any]], bool] = lambda report: report["state"] in ENDS) -> None:
        """Run the agent, through restarts and kills, until a report satisfies ``done`` and was noted as accepted."""
        while True:
            inbox = Inbox()
            self.hub.on_report = lambda report: inbox.put(StopRequested()) if done(report) else None  # noqa: B023
            try:
                return self._worker(inbox).run()
            except Restarted:
                self.restarts += 1
                self.on_restart()
            except Killed:
                self.kills += 1
                self.on_kill()
                self.hub.close()
                if self.memory.end is not None and self.memory.unsent is None:
                    return self.run_once()

    def run_once(self) -> None:
        """Run the agent until it has read its twin and done all that this asks for."""
        inbox = Inbox()
        self.hub.on_report = lambda _: None
        self.hub.on_twin_read = lambda: inbox.put(StopRequested())
        self._worker(inbox).run()
        self.hub.on_twin_read = lambda: None

    def _worker(self, inbox: Inbox) -> Worker:
        self.folder.mkdir(exist_ok=True)
        self.slots.prepare(self.installed)
        http = requests.Session()
        url = self.factory.service.url
        clock = ReferenceTime(self.clock, self.folder / "index" / "issued.json")
        index = TufIndex(
            folder=self.folder / "index",
            base_url=f"{url}/repository/metadata/",
            root=self.born_with,
            http=http,
            time=clock,
            slowest_s=self.slowest_s,
        )
        file = FullDisk(FileJournal(self.folder / "journal.json"), self.journal_is_full, "write")
        journal = Guarded(file, self.points, "write")
        channel = Guarded(self.hub, self.points, "report")
        outside = Outside(channel=channel, index=index, journal=journal, clock=clock)
        device = Device(
            slots=Guarded(
                FullDisk(self.slots, self.slots_are_full, "seal"), self.points, "copy_active", "seal", "activate"
            ),
            handlers=register([FirmwareHandler(), DebianHandler(options=("--force-script-chrootless",))]),
            transfer=HttpTransfer(service_url=url, folder=self.folder / "downloads", http=http, timeout_s=5),
            health=self.health,
            restarter=FakeRestarter(),
            limits=Limits(),
        )
        manner = Manner(
            properties=self.properties,
            zone=self.zone,
            hub_backoff=QUICK,
            index_patience=self.patience,
            download_patience=self.patience,
            farewell_s=2.0,
        )
        return Worker(self.name, outside, device, manner, inbox, failure_log=self._failure_log(http))

    def _failure_log(self, http: requests.Session) -> FailureLogSender | None:
        if self.log_file is None:
            return None
        upload = HttpLogUpload(service_url=self.factory.service.url, http=http, timeout_s=5)
        return FailureLogSender(self.log_file, upload, self.folder / "failure-log-sent")
