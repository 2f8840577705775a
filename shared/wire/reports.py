"""Reports on their way from the relay to the fold: the data of a CloudEvent, and the body of a backlog message.

``{"v": 1, "campaign": …, "shard": …, "reports": [{"device": …, "mark": "<time>#<version>", …}]}``; a report's other
keys are those of the twin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import DomainError, MalformedMessage
from shared.domain.ids import CampaignId, campaign_id, device_id
from shared.domain.rollouts import Report
from shared.domain.waves import MAX_BATCH_DEVICES
from shared.wire.messages import check_version
from shared.wire.rollout_rows import read_mark, write_mark
from shared.wire.twins import read_report, write_report

VERSION = 1
ROLLOUT_REPORTED = "groundswell.rollout.reported"

MAX_BYTES = 190_000
"""Fits a Service Bus message of the Standard tier (256 KB with its header) and, five at a time, an Event Grid call."""

_MAX_AGENT_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBatch:
    """At most 99 reports for one partition of the ``rollout`` table."""

    campaign: CampaignId
    shard: int
    reports: tuple[Report, ...]


def write_report_batches(campaign: CampaignId, shard: int, reports: Sequence[Report]) -> Iterator[bytes]:
    """The reports, in order, in as few documents as their number and size allow."""
    items: list[str] = []
    size_bytes = 0
    for report in reports:
        item = json.dumps(_write(report), ensure_ascii=False, separators=(",", ":"))
        item_bytes = len(item.encode(errors="replace")) + 1
        if items and (len(items) == MAX_BATCH_DEVICES or size_bytes + item_bytes > MAX_BYTES):
            yield _document(campaign, shard, items)
            items, size_bytes = [], 0
        items.append(item)
        size_bytes += item_bytes
    if items:
        yield _document(campaign, shard, items)


def read_report_batch(document: bytes | Mapping[str, Any]) -> ReportBatch:
    """The reports in a document, as bytes or already parsed.

    Raises:
        NewerMessage: It is of a later version.
        MalformedMessage: It is not one of ours.
    """
    try:
        fields: Mapping[str, Any] = json.loads(document) if isinstance(document, bytes) else document
        check_version(fields["v"], VERSION)
        campaign = campaign_id(fields["campaign"])
        reports = tuple(_read(campaign, item) for item in fields["reports"])
        return ReportBatch(campaign=campaign, shard=int(fields["shard"]), reports=reports)
    except MalformedMessage:
        raise
    except (DomainError, KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(f"the report batch cannot be read: {error!r:.100}") from error


def digest(document: bytes) -> str:
    """What tells one document from another, for ids that repeat with their content."""
    return hashlib.sha256(document).hexdigest()[:32]


def _document(campaign: CampaignId, shard: int, items: Sequence[str]) -> bytes:
    head = json.dumps({"v": VERSION, "campaign": campaign, "shard": shard}, separators=(",", ":"))
    return f'{head[:-1]},"reports":[{",".join(items)}]}}'.encode(errors="replace")


def _write(report: Report) -> dict[str, Any]:
    document = write_report(report)
    del document["campaign"]
    agent = str(document["agent"])[:_MAX_AGENT_LENGTH]
    return {"device": report.device, "mark": write_mark(report.mark), **document, "agent": agent}


def _read(campaign: CampaignId, item: Mapping[str, Any]) -> Report:
    return read_report(device_id(item["device"]), {**item, "campaign": campaign}, read_mark(item["mark"]))
