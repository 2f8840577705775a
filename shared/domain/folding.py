"""Folding reports into rollout rows, so that the order in which reports come does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.rollouts import (
    DEVICE_ENDS,
    MAX_DETAIL_LENGTH,
    PROGRESS,
    OrderMark,
    PackageTarget,
    Report,
    Rollout,
    RolloutState,
    is_allowed,
)

S = RolloutState


def fold_report(rollout: Rollout, report: Report, target: PackageTarget, *, now: datetime) -> Rollout:
    """The rollout after a report; the same rollout when the report says nothing new.

    The row is a function of the set of reports, not of the order they come in, because each part of it is a maximum or
    a minimum over them by order mark: the device's earliest end counts, before an end the furthest progress, and what
    the device runs is what it said last. A success is withdrawn once any later report names another version.
    """
    heard = _hear(rollout, report, target)
    if not _concerns(rollout, report):
        return heard
    return _withdraw_success(_advance(heard, report, target, now), now)


def essential_reports(reports: Sequence[Report], target: PackageTarget) -> list[Report]:
    """The fewest of one device's reports in one attempt that fold to the same row as all of them, in order.

    Three at most: the newest, the earliest end or the furthest progress, and the newest of another version.
    """
    ordered = sorted(reports, key=lambda report: report.mark)
    ends = [report for report in ordered if _claim(report, target)[0] in DEVICE_ENDS]
    furthest = max(ordered, key=lambda report: (_rank(report.state), report.mark))
    kept = {ordered[-1].mark: ordered[-1]}
    decisive = ends[0] if ends else furthest
    kept[decisive.mark] = decisive
    for report in reversed(ordered):
        if not _runs(report, target):
            kept[report.mark] = report
            break
    return [kept[mark] for mark in sorted(kept)]


def _concerns(rollout: Rollout, report: Report) -> bool:
    return (report.attempt, report.sequence) == (rollout.attempt, rollout.sequence)


def _hear(rollout: Rollout, report: Report, target: PackageTarget) -> Rollout:
    """The rollout with what any report moves: its order marks, and what the device runs."""
    heard = rollout
    if rollout.mark is None or report.mark > rollout.mark:
        heard = replace(heard, mark=report.mark)
        if _concerns(rollout, report):
            heard = replace(
                heard,
                installed_version=report.installed.get(target.name, ""),
                agent_version=report.agent_version,
                # It was claimed with what its twin said, and cohorts are told apart by it.
                hardware=report.hardware or rollout.hardware,
            )
    if _concerns(rollout, report) and not _runs(report, target):
        heard = _hear_other(heard, report, target)
    return heard


def _hear_other(rollout: Rollout, report: Report, target: PackageTarget) -> Rollout:
    """The newest other version is taken for the one before the campaign's: a regression brings the same one back."""
    if rollout.other_mark is not None and report.mark <= rollout.other_mark:
        return rollout
    former = report.installed.get(target.name) or rollout.former_version
    return replace(rollout, other_mark=report.mark, former_version=former)


def _advance(rollout: Rollout, report: Report, target: PackageTarget, now: datetime) -> Rollout:
    state, code = _claim(report, target)
    if not _decides(rollout, state, report.mark):
        return rollout
    told = replace(
        rollout,
        code=code,
        detail=report.detail[:MAX_DETAIL_LENGTH],
        progress_percent=report.progress_percent,
        state_mark=report.mark,
    )
    if state is rollout.state:
        return told
    return replace(told, state=state, changed_at=now, due_at=None)


def _decides(rollout: Rollout, state: RolloutState, mark: OrderMark) -> bool:
    """Whether a report that claims ``state`` decides what the row says."""
    if rollout.state in DEVICE_ENDS or rollout.state is S.REGRESSED:
        # Only an earlier end overrules an end: it came late, and would have been final had it come in time. An end
        # without a mark is not one that the device told in this attempt.
        return state in DEVICE_ENDS and (rollout.state_mark is None or mark < rollout.state_mark)
    if state is rollout.state:
        return rollout.state_mark is None or mark > rollout.state_mark
    return is_allowed(rollout.state, state)


def _withdraw_success(rollout: Rollout, now: datetime) -> Rollout:
    if rollout.state is not S.SUCCEEDED or rollout.state_mark is None or rollout.other_mark is None:
        return rollout
    if rollout.other_mark < rollout.state_mark:
        return rollout
    return replace(
        rollout, state=S.REGRESSED, code="old_version_reported", detail="", progress_percent=0, changed_at=now
    )


def _claim(report: Report, target: PackageTarget) -> tuple[RolloutState, str]:
    """The state a report amounts to: success is believed only with the version that proves it."""
    if report.state is S.SUCCEEDED and not _runs(report, target):
        return S.FAILED, "success_without_version"
    return report.state, report.code


def _runs(report: Report, target: PackageTarget) -> bool:
    return report.installed.get(target.name) == target.version


def _rank(state: RolloutState) -> int:
    return PROGRESS.index(state) if state in PROGRESS else len(PROGRESS)
