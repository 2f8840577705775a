"""Rows of the table ``campaigns``: columns that a person can read with a plain query, the rest as JSON beside them.

Partition = campaign. Row ``campaign`` is the campaign, rows ``wave~0001`` … its waves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from shared.domain.approvals import Consents
from shared.domain.campaign_specs import CampaignSpec
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.cohorts import Quarantined
from shared.domain.gates import Counters
from shared.domain.ids import campaign_id
from shared.domain.newcomers import Newcomers
from shared.domain.packages import Package
from shared.domain.pending_edits import PendingEdit
from shared.domain.planning import Planning
from shared.domain.rates import Paced
from shared.domain.retention import Archive
from shared.domain.reversions import Reversion
from shared.domain.verdicts import Verdict
from shared.domain.walks import Walk
from shared.domain.waves import Wave, WaveSpec, WaveState
from shared.wire.known import read_column, refuse_unknown, write_column
from shared.wire.package_records import read_package, write_package

CAMPAIGN_ROW = "campaign"
AWAITS_STEP = "awaits_step"

MAX_RECORDS_LENGTH = 30_000
"""Of a column of package records: Azure Table takes 32,768 characters in a string property."""
WAVE_ROWS_END = "wave~~"
"""Behind the keys of all wave rows."""

_SPEC: TypeAdapter[CampaignSpec] = TypeAdapter(CampaignSpec)
_WAVE_SPEC: TypeAdapter[WaveSpec] = TypeAdapter(WaveSpec)
_COUNTERS: TypeAdapter[Counters] = TypeAdapter(Counters)
_VERDICT: TypeAdapter[Verdict | None] = TypeAdapter(Verdict | None)
_PLANNING: TypeAdapter[Planning] = TypeAdapter(Planning)
_QUARANTINED: TypeAdapter[tuple[Quarantined, ...]] = TypeAdapter(tuple[Quarantined, ...])
_PACED: TypeAdapter[Paced | None] = TypeAdapter(Paced | None)
_REVERSION: TypeAdapter[Reversion | None] = TypeAdapter(Reversion | None)
_ARCHIVE: TypeAdapter[Archive | None] = TypeAdapter(Archive | None)
_NEWCOMERS: TypeAdapter[Newcomers] = TypeAdapter(Newcomers)
_WAVE_EDIT: TypeAdapter[PendingEdit | None] = TypeAdapter(PendingEdit | None)
_WALKS: TypeAdapter[tuple[Walk, ...]] = TypeAdapter(tuple[Walk, ...])
_CONSENTS: TypeAdapter[Consents] = TypeAdapter(Consents)
_NOTHING_SAID = "{}"

_KEYS = frozenset({"PartitionKey", "RowKey"})
_CAMPAIGN_COLUMNS = _KEYS | {
    *("name", "package", "version", "skipped", "current", "phase"),
    *("state", "reason", "targets", "step", "step_due_at", AWAITS_STEP, "shards", "forced", "reopened"),
    *("requested_by", "created_at", "changed_at", "state_since", "request_sha256", "spec_signature"),
    *("spec", "package_record", "other_package_records", "planning", "quarantined", "paced", "reversion"),
    *("newcomers", "wave_edit", "walks", "consents", "archive"),
    "withdrawal",  # of rows from before walks were several
}
_WAVE_COLUMNS = _KEYS | {
    *("number", "name", "state", "reason", "start", "stop", "devices", "batches", "dispatched"),
    *("acknowledged", "verdict", "spec", "started_at", "soak_until", "ended_at"),
}
_RETIRED_REVERSION = frozenset({"wished_by"})


def wave_row_key(number: int) -> str:
    """The row key of a wave."""
    return f"wave~{number:04d}"


def write_campaign_row(campaign: Campaign) -> dict[str, Any]:
    """The campaign's own row."""
    return {
        "PartitionKey": campaign.id,
        "RowKey": CAMPAIGN_ROW,
        "name": campaign.spec.name,
        "state": campaign.state.value,
        "reason": campaign.reason,
        "package": campaign.target.name,
        "version": campaign.target.version,
        "targets": campaign.targets,
        "skipped": campaign.planning.skipped,
        "current": campaign.planning.current,
        "phase": campaign.planning.phase.value,
        "step": campaign.step,
        "step_due_at": campaign.step_due_at,
        AWAITS_STEP: campaign.awaits_step,
        "shards": campaign.shards,
        "requested_by": campaign.requested_by,
        "created_at": campaign.created_at,
        "changed_at": campaign.changed_at,
        **({"state_since": campaign.state_since} if campaign.state_since else {}),
        "request_sha256": campaign.request_sha256,
        "spec_signature": campaign.spec_signature,
        "spec": write_column(_SPEC, campaign.spec),
        "package_record": json.dumps(write_package(campaign.package)),
        "other_package_records": write_packages(campaign.other_packages),
        "planning": write_column(_PLANNING, campaign.planning),
        "quarantined": write_column(_QUARANTINED, campaign.quarantined),
        "paced": write_column(_PACED, campaign.paced),
        "forced": campaign.is_forced,
        "reopened": campaign.is_reopened,
        "reversion": write_column(_REVERSION, campaign.reversion),
        "newcomers": write_column(_NEWCOMERS, campaign.newcomers),
        "wave_edit": write_column(_WAVE_EDIT, campaign.wave_edit),
        "walks": write_column(_WALKS, campaign.walks),
        "consents": write_column(_CONSENTS, campaign.consents),
        "archive": write_column(_ARCHIVE, campaign.archive),
    }


def write_packages(packages: Sequence[Package]) -> str:
    """The column that holds the records of packages."""
    return json.dumps([write_package(package) for package in packages])


def write_signed_spec(campaign: Campaign) -> bytes:
    """What is signed when a campaign is posted: canonical JSON over all that decides what is installed where.

    Defaults are left out, so that a field added by a later release does not make running campaigns untrusted.
    """
    others = [write_package(package) for package in campaign.other_packages]
    fields = {
        "id": campaign.id,
        "spec": _SPEC.dump_python(campaign.spec, mode="json", exclude_defaults=True),
        "package": write_package(campaign.package),
        **({"other_packages": others} if others else {}),
        "shards": campaign.shards,
        "requested_by": campaign.requested_by,
        "request_sha256": campaign.request_sha256,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def write_signed_edit(campaign: Campaign) -> bytes:
    """What is signed when an operator asks for waves with new filters: the waves, and the campaign they are for."""
    edit = _WAVE_EDIT.dump_python(campaign.wave_edit, mode="json", exclude_defaults=True) or {}
    fields = {
        "edit": campaign.id,
        "spec_signature": campaign.spec_signature,
        **{name: edit.get(name) for name in ("waves", "conditions", "by", "at")},
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def write_signed_reversion(campaign: Campaign) -> bytes:
    """What is signed when an operator or a gate has a campaign reverted; what rows from before lack is left out."""
    order = campaign.reversion or Reversion()
    fields = {
        "revert": campaign.id,
        "spec_signature": campaign.spec_signature,
        "ordered_at": order.ordered_at.isoformat() if order.ordered_at else "",
        **({"ordered_by": order.ordered_by} if order.ordered_by else {}),
        **({"number": order.number} if order.number > 1 else {}),
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def write_wave_row(campaign: Campaign, wave: Wave) -> dict[str, Any]:
    """The row of a wave; times it does not have yet are left out."""
    times = {"started_at": wave.started_at, "soak_until": wave.soak_until, "ended_at": wave.ended_at}
    return {
        "PartitionKey": campaign.id,
        "RowKey": wave_row_key(wave.number),
        "number": wave.number,
        "name": wave.spec.name,
        "state": wave.state.value,
        "reason": wave.reason,
        "start": wave.start,
        "stop": wave.stop,
        "devices": wave.devices,
        "batches": wave.batches,
        "dispatched": wave.dispatched,
        "acknowledged": write_column(_COUNTERS, wave.acknowledged),
        "verdict": write_column(_VERDICT, wave.verdict),
        "spec": write_wave_spec(wave.spec),
        **{name: time for name, time in times.items() if time is not None},
    }


def write_wave_spec(spec: WaveSpec) -> str:
    """The column of a wave row that says what was asked for."""
    return write_column(_WAVE_SPEC, spec)


def read_campaign(row: Mapping[str, Any], wave_rows: Sequence[Mapping[str, Any]] = ()) -> Campaign:
    """The campaign in its row, with the waves in theirs.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(row, _CAMPAIGN_COLUMNS)
    return Campaign(
        id=campaign_id(row["PartitionKey"]),
        spec=read_column(_SPEC, row["spec"]),
        package=read_package(json.loads(row["package_record"])),
        other_packages=tuple(read_package(record) for record in json.loads(row.get("other_package_records", "[]"))),
        shards=row["shards"],
        state=CampaignState(row["state"]),
        reason=row["reason"],
        step=row["step"],
        step_due_at=row["step_due_at"],
        targets=row["targets"],
        planning=read_column(_PLANNING, row["planning"]),
        waves=tuple(_read_wave(wave) for wave in sorted(wave_rows, key=lambda wave: int(wave["number"]))),
        quarantined=read_column(_QUARANTINED, row.get("quarantined", "[]")),
        paced=read_column(_PACED, row.get("paced", "null")),
        is_forced=row.get("forced", False),
        is_reopened=row.get("reopened", False),
        reversion=read_column(_REVERSION, row.get("reversion", "null"), retired=_RETIRED_REVERSION),
        newcomers=read_column(_NEWCOMERS, row.get("newcomers", "{}")),
        wave_edit=read_column(_WAVE_EDIT, row.get("wave_edit", "null")),
        walks=read_column(_WALKS, row["walks"]),
        consents=read_column(_CONSENTS, row.get("consents", _NOTHING_SAID)),
        archive=read_column(_ARCHIVE, row.get("archive", "null")),
        requested_by=row["requested_by"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        state_since=row.get("state_since"),
        request_sha256=row["request_sha256"],
        spec_signature=row.get("spec_signature", ""),
    )


def _read_wave(row: Mapping[str, Any]) -> Wave:
    refuse_unknown(row, _WAVE_COLUMNS)
    return Wave(
        number=row["number"],
        spec=read_column(_WAVE_SPEC, row["spec"]),
        start=row["start"],
        stop=row["stop"],
        batches=row["batches"],
        dispatched=row["dispatched"],
        state=WaveState(row["state"]),
        started_at=row.get("started_at"),
        soak_until=row.get("soak_until"),
        ended_at=row.get("ended_at"),
        acknowledged=read_column(_COUNTERS, row["acknowledged"]),
        verdict=read_column(_VERDICT, row["verdict"]),
        reason=row["reason"],
    )
