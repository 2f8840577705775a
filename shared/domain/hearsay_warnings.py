"""What an operator should know of named devices of which nobody has heard, or which are gone."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.hearsay import Named
from shared.domain.plan_facts import PlanFacts, PlanWarning
from shared.domain.targeting import Targeting

MAX_TOLD = 3


def unheard_devices(facts: PlanFacts) -> Iterator[PlanWarning]:
    """Few of them are perhaps misspelt. Most of them say more about the service, which is new to the fleet."""
    heard, field = facts.findings.heard, field_of(facts.spec.targeting)
    unheard, looked_at = heard.unheard, heard.looked_at
    if not unheard.count:
        return
    if 2 * unheard.count <= looked_at:
        message = (
            f"nobody has heard of {unheard.count} of {looked_at} devices ({_names(unheard)}): since this service runs, "
            "IoT Hub did not tell of their creation, and none of them reported. They may exist all the same; "
            "look for misspelt ids, because those that IoT Hub does not know are skipped when their turn comes"
        )
        yield PlanWarning(code="unheard_devices", field=field, message=message)
    elif looked_at == facts.devices:
        message = (
            f"nobody has heard of {unheard.count} of {looked_at} devices yet, as is usual before a first campaign: "
            "this service knows of devices that were created since it runs, or reported to a campaign. Which of them "
            "exist, IoT Hub says when their turn comes"
        )
        yield PlanWarning(code="fleet_unheard_of", field=field, message=message)


def gone_devices(facts: PlanFacts) -> Iterator[PlanWarning]:
    """Deleted ones are not misspelt; the list is old."""
    heard = facts.findings.heard
    if heard.gone.count:
        message = (
            f"{heard.gone.count} of {heard.looked_at} devices ({_names(heard.gone)}) were deleted in IoT Hub, or not "
            "known to it when they were last offered something; unless they were made anew, they are skipped"
        )
        yield PlanWarning(code="gone_devices", field=field_of(facts.spec.targeting), message=message)


def field_of(targeting: Targeting) -> str:
    """Where in the request the ids came from."""
    if targeting.group:
        return "targets.group"
    return "targets.list" if targeting.list_name else "targets.devices"


def _names(devices: Named) -> str:
    told = ", ".join(devices.first[:MAX_TOLD])
    return f"{told}, …" if devices.count > min(MAX_TOLD, len(devices.first)) else told
