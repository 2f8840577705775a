"""Find what the events missed: artifacts left in ``incoming``, and those over which the function crashed every time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.artifacts.refusals import Refusal
from shared.handlers.ingest_package import Intake, IntakeOutcome, PackageIntake
from shared.handlers.quarantine_artifact import quarantine_artifact
from shared.handlers.sidecars import find_sidecars
from shared.ports.bus import Parking
from shared.ports.errors import PortError
from shared.ports.packages import ArtifactStore, CrashReport, CrashReports, IncomingArtifact
from shared.wire.sidecars import artifact_of, is_sidecar

log = logging.getLogger(__name__)

LEFT_BEHIND = timedelta(minutes=10)
SIDECAR_GRACE = timedelta(hours=1)
INCOMING = "incoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did."""

    taken_in: int = 0
    quarantined: int = 0
    crashed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingSweep:
    """What sweeping needs."""

    intake: PackageIntake
    crash_reports: CrashReports
    parking: Parking

    @property
    def _store(self) -> ArtifactStore:
        return self.intake.store

    def sweep_incoming(self, *, now: datetime) -> Swept:
        """Try once more what crashed the function, then take in what has lain for more than ten minutes.

        Raises:
            PortError: The store failed over at least one artifact; the others were dealt with.
        """
        outcomes: list[IntakeOutcome] = []
        failure: PortError | None = None
        crashed = 0
        for report in self.crash_reports.receive():
            try:
                intake = self._retry_crashed(report, now)
            except PortError as error:
                log.warning("%s, given up by the host, is left for the next sweep: %s", report.blob_name, error)
                failure = error
                continue
            crashed += intake.code == Refusal.FUNCTION_CRASHED
            if intake.code != Refusal.FUNCTION_CRASHED:
                outcomes.append(intake.outcome)
        for artifact in self._store.list_incoming():
            try:
                outcomes.append(self._sweep(artifact, now))
            except PortError as error:
                log.warning("%s is left for the next sweep: %s", artifact.name, error)
                failure = error
        if failure is not None:
            raise failure
        return Swept(
            taken_in=outcomes.count(IntakeOutcome.ACCEPTED),
            quarantined=outcomes.count(IntakeOutcome.QUARANTINED),
            crashed=crashed,
        )

    def _sweep(self, artifact: IncomingArtifact, now: datetime) -> IntakeOutcome:
        age = now - artifact.dropped_at
        if is_sidecar(artifact.name):
            return self._sweep_sidecar(artifact, age, now)
        if age <= LEFT_BEHIND:
            return IntakeOutcome.GONE
        return self._take_in(artifact, now).outcome

    def _take_in(self, artifact: IncomingArtifact, now: datetime) -> Intake:
        try:
            return self.intake.ingest_package(artifact.name, now=now)
        except PortError:
            raise
        except Exception as error:
            # A bug met by an artifact that no event may ever bring again: without this it would stay here for ever.
            log.exception("reading %s failed", artifact.name)
            if self._is_accepted(artifact):
                # The bug struck after the package was claimed; ``resume_publishing`` goes on with it from its row.
                self._delete(artifact)
                return Intake(outcome=IntakeOutcome.ACCEPTED)
            self._quarantine(artifact, Refusal.FUNCTION_CRASHED, f"reading it failed with {type(error).__name__}", now)
            return Intake(outcome=IntakeOutcome.QUARANTINED, code=Refusal.FUNCTION_CRASHED)

    def _delete(self, artifact: IncomingArtifact) -> None:
        sidecars = find_sidecars(self._store, artifact.name)
        self._store.delete_incoming(artifact)
        for _, sidecar in sidecars:
            self._store.delete_incoming(sidecar)

    def _is_accepted(self, artifact: IncomingArtifact) -> bool:
        try:
            return self.intake.is_accepted(artifact)
        except PortError:
            raise
        except Exception:
            # The bug that brought us here; bytes that cannot be looked into were never accepted.
            return False

    def _sweep_sidecar(self, sidecar: IncomingArtifact, age: timedelta, now: datetime) -> IntakeOutcome:
        if age <= SIDECAR_GRACE or self._store.find_incoming(artifact_of(sidecar.name)):
            return IntakeOutcome.SIDECAR
        if self._store.find_incoming(sidecar.name) != sidecar:
            return IntakeOutcome.GONE  # This very sweep, or an event, took it in with its artifact.
        reason = "the artifact it speaks about did not come within an hour, or had been dealt with before it came"
        self._quarantine(sidecar, Refusal.SIDECAR_ALONE, reason, now)
        return IntakeOutcome.QUARANTINED

    def _retry_crashed(self, report: CrashReport, now: datetime) -> Intake:
        """What became of the artifact: an outage or a wrong setting that is over must not cost a good one."""
        if report.container != INCOMING:
            reason = "the entry of the poison queue does not name a blob in incoming"
            self.parking.park(source="blob-poison", body=report.body, code="malformed_message", reason=reason)
            self.crash_reports.remove(report)
            return Intake(outcome=IntakeOutcome.GONE)
        artifact = self._store.find_incoming(report.blob_name)
        is_there = artifact is not None and report.etag.strip('"') in ("", artifact.etag.strip('"'))
        gone = Intake(outcome=IntakeOutcome.GONE)
        intake = self._take_in(artifact, now) if artifact is not None and is_there else gone
        self.crash_reports.remove(report)
        return intake

    def _quarantine(self, artifact: IncomingArtifact, refusal: Refusal, reason: str, now: datetime) -> None:
        quarantine_artifact(artifact, refusal, reason, store=self._store, now=now)
