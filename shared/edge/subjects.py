"""Whom a message is about, in the words of telemetry."""

from __future__ import annotations

from collections.abc import Sequence

from shared.telemetry.execution import about
from shared.wire.messages import BatchVisit, BatchWork, CampaignStep, IndexRequest, OperationStep


def tell_subject(messages: Sequence[object]) -> None:
    """Put on the execution's span whom its messages are about; of many only what they have in common."""
    told = [_ids(message) for message in messages]
    if told:
        about(**{name: content for name, content in told[0].items() if all(each.get(name) == content for each in told)})


def _ids(message: object) -> dict[str, str | int]:
    match message:
        case CampaignStep(campaign=campaign, wave=wave):
            return {"campaign": campaign} if wave is None else {"campaign": campaign, "wave": wave}
        case BatchWork(campaign=campaign, batch=batch) | BatchVisit(campaign=campaign, batch=batch):
            alone: dict[str, str | int] = {"device": batch.first} if batch.count == 1 else {}
            return {"campaign": campaign, "wave": batch.wave, "shard": batch.shard, "batch": batch.number, **alone}
        case IndexRequest(name=name, version=version):
            return {"package": f"{name}/{version}"}
        case OperationStep(operation=operation):
            return {"operation": operation}
        case _:
            return {}
