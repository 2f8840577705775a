"""The digest of a campaign's plan: what exactly goes to whom, and in which order. Approvals are for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from shared.domain.campaigns import Campaign


def digest_plan(campaign: Campaign) -> str:
    """Lower-case hex SHA-256 over package, targets in their order, and waves; not over how far they are.

    Of a campaign that was ordered to be reverted it is over that order: which devices go back to which version.
    """
    plan = _plan(campaign)
    if (order := campaign.reversion) is not None:
        devices = {version: [count, order.digests.get(version, "")] for version, count in order.devices.items()}
        plan = {"reverts": plan, "order": order.number, "devices": devices}
    return hashlib.sha256(json.dumps(plan, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def _plan(campaign: Campaign) -> dict[str, Any]:
    return {
        "package": [campaign.package.path, campaign.package.sha256],
        "allow_downgrade": campaign.spec.allow_downgrade,
        "targets": campaign.targets,
        "skipped": [campaign.planning.skipped, campaign.planning.current],
        "manifest": campaign.planning.manifest_sha256,
        "waves": [[wave.number, wave.start, wave.stop, wave.batches, _told(wave.spec)] for wave in campaign.waves],
    } | _variants(campaign)


def _variants(campaign: Campaign) -> dict[str, Any]:
    """Nothing for one package, whose plans were digested before there could be several."""
    if not campaign.other_packages:
        return {}
    return {
        "other_packages": [[package.path, package.sha256] for package in campaign.other_packages],
        "by_variant": [campaign.planning.no_package, *campaign.planning.by_variant],
    }


def _told(value: Any) -> Any:
    """A dataclass without its defaults, so that a later release does not make it another plan."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    kept = {each.name: _told(getattr(value, each.name)) for each in fields(value) if not _is_default(value, each)}
    return [type(value).__name__, kept]


def _is_default(value: Any, field: Field[Any]) -> bool:
    if field.default_factory is not MISSING:
        return bool(getattr(value, field.name) == field.default_factory())
    return bool(getattr(value, field.name) == field.default)
