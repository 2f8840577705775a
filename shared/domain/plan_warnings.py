"""What an operator should think about before a campaign starts. Pure: one small rule after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from shared.domain.conflicts import OnConflict
from shared.domain.forecast import slots_s
from shared.domain.gate_warnings import hidden_cohorts, idle_limits
from shared.domain.hearsay_warnings import gone_devices, unheard_devices
from shared.domain.plan_facts import PlanFacts, PlanWarning
from shared.domain.schedule_warnings import ends_too_early
from shared.domain.targeting import Membership
from shared.domain.waves import Matching
from shared.domain.window_waits import longest_wait_s

LARGE_FIRST_PERCENT = 20.0
LARGE_FIRST_DEVICES = 20
"""A first wave above both is no canary any more."""


def find_warnings(facts: PlanFacts) -> list[PlanWarning]:
    """Everything the rules have to say, in the order of the rules."""
    return [warning for rule in _RULES for warning in rule(facts)]


def _empty_waves(facts: PlanFacts) -> Iterator[PlanWarning]:
    for at, spec, wave in facts.waves:
        # Before the listing has ended nobody knows who meets a condition; a condition that nobody meets ends the plan.
        if not wave.load.devices and not isinstance(spec.size, Matching):
            message = f"wave {spec.name!r} would have no devices"
            yield PlanWarning(code="empty_wave", field=f"waves.{at}", message=message)


def _large_first_wave(facts: PlanFacts) -> Iterator[PlanWarning]:
    if not facts.waves:
        return
    _, spec, first = facts.waves[0]
    share = 100 * first.load.devices / max(1, facts.devices)
    if first.load.devices > LARGE_FIRST_DEVICES and share > LARGE_FIRST_PERCENT:
        message = (
            f"the first wave {spec.name!r} holds {first.load.devices} of {facts.devices} devices ({share:.0f} %): "
            "a bad package reaches all of them before a gate has anything to say; begin with a smaller one"
        )
        yield PlanWarning(code="large_first_wave", field="waves.0", message=message)


def _gate_without_slack(facts: PlanFacts) -> Iterator[PlanWarning]:
    for at, spec, wave in facts.waves:
        if spec.gate.success_percent >= 100 and wave.load.devices:
            message = f"the gate of {spec.name!r} asks for 100 % success: it stops at the first silent device"
            yield PlanWarning(code="gate_without_slack", field=f"waves.{at}.gate.success_percent", message=message)


def _gate_without_bound(facts: PlanFacts) -> Iterator[PlanWarning]:
    for at, spec, wave in facts.waves:
        gate = spec.gate
        if wave.load.devices and gate.failure_percent is None and gate.failure_count is None:
            message = f"the gate of {spec.name!r} stops for no number of failures"
            yield PlanWarning(code="gate_without_bound", field=f"waves.{at}.gate.failure_percent", message=message)


def _minimum_above_wave(facts: PlanFacts) -> Iterator[PlanWarning]:
    for at, spec, wave in facts.waves:
        if 0 < wave.load.devices < spec.gate.minimum_completed:
            message = (
                f"the gate of {spec.name!r} looks at no share before {spec.gate.minimum_completed} devices ended, "
                f"and the wave has {wave.load.devices}: it speaks only at the wave's end"
            )
            yield PlanWarning(code="minimum_above_wave", field=f"waves.{at}.gate.minimum_completed", message=message)


def _short_offer_deadline(facts: PlanFacts) -> Iterator[PlanWarning]:
    offered_s = facts.spec.deadlines.offered_s
    slow = [wave for wave in facts.forecast.waves if wave.dispatch_s > offered_s]
    if slow:
        worst = max(slow, key=lambda wave: wave.dispatch_s)
        message = (
            f"the offers of wave {worst.load.number} take {worst.dispatch_s:.0f} s under the hub's throttle: its first "
            f"devices time out after {offered_s:g} s, before its last ones have their offer"
        )
        yield PlanWarning(code="short_offer_deadline", field="deadlines.offered_s", message=message)


def _short_window_deadline(facts: PlanFacts) -> Iterator[PlanWarning]:
    wait_s = longest_wait_s(facts.spec.windows, facts.inputs.begins_at)
    if wait_s > facts.spec.deadlines.downloading_s:
        message = (
            f"a device may wait {wait_s:.0f} s for a window and counts as timed out after "
            f"{facts.spec.deadlines.downloading_s:g} s"
        )
        yield PlanWarning(code="short_window_deadline", field="deadlines.downloading_s", message=message)


_WHAT_THEN = {
    OnConflict.SKIP: "would be left out",
    OnConflict.WAIT: "the campaign would wait for them",
    OnConflict.SUPERSEDE: "would be taken over from those of lower priority, and waited for elsewhere",
}


def _held_devices(facts: PlanFacts) -> Iterator[PlanWarning]:
    if held := facts.findings.held:
        then = _WHAT_THEN[facts.spec.precedence.on_conflict]
        message = f"{held} of {facts.devices} devices are held by other campaigns and {then}"
        if facts.spec.precedence.on_conflict is not OnConflict.SKIP:
            # Those before them may have made a rate that grows faster: this is the most.
            turns_s = math.ceil(slots_s(held, 0, facts.inputs))
            message += f"; who is waited for gets a time slot of its own, which takes up to {turns_s} s for all"
        yield PlanWarning(code="devices_held", field="on_conflict", message=message)


def _current_devices(facts: PlanFacts) -> Iterator[PlanWarning]:
    if facts.devices and facts.findings.current == facts.devices:
        message = f"all {facts.devices} devices run the version already"
        field = "packages" if facts.spec.other_packages else "package.version"
        yield PlanWarning(code="nothing_to_do", field=field, message=message)


def _newer_devices(facts: PlanFacts) -> Iterator[PlanWarning]:
    newer = facts.findings.newer
    if newer and not facts.spec.allow_downgrade:
        message = (
            f"{newer} of {facts.devices} devices run a higher version and would reject the package as a downgrade; "
            "leave them out, or set allow_downgrade"
        )
        yield PlanWarning(code="newer_devices", field="allow_downgrade", message=message)


def _no_package(facts: PlanFacts) -> Iterator[PlanWarning]:
    if unfit := facts.findings.no_package:
        message = f"none of the packages is for the hardware of {unfit} of {facts.devices} devices: they are left out"
        yield PlanWarning(code="no_package", field="packages", message=message)
    if unknown := facts.findings.unknown_hardware:
        message = (
            f"the service does not know the hardware of {unknown} of {facts.devices} devices: their twins are read "
            "when the campaign is planned, each a message of the hub's daily quota, and those that do not say are left "
            "out"
        )
        yield PlanWarning(code="unknown_hardware", field="packages", message=message)


def _unused_package(facts: PlanFacts) -> Iterator[PlanWarning]:
    if facts.findings.unknown_hardware or facts.findings.looked_at < facts.devices:
        return
    for number, devices in enumerate(facts.findings.by_variant):
        if not devices:
            target = facts.spec.packages[number]
            message = f"no device is of hardware that {target.name} {target.version} is for"
            yield PlanWarning(code="unused_package", field=f"packages.{number}", message=message)


def _daily_quota(facts: PlanFacts) -> Iterator[PlanWarning]:
    quota, messages = facts.forecast.hub.messages_per_day, facts.forecast.usage.hub_messages
    if quota is not None and messages > quota:
        message = (
            f"the campaign takes {messages} IoT Hub messages and the hub has {quota} a day, for everything: "
            f"it would be paused on {messages // quota} evenings or more; add units"
        )
        yield PlanWarning(code="daily_quota", field="targets", message=message)


def _slowed_hub(facts: PlanFacts) -> Iterator[PlanWarning]:
    hub = facts.forecast.hub
    if hub.rate_per_s < hub.ceiling_per_s:
        message = (
            f"the hub answered 429 lately: planned with {hub.rate_per_s:g} twin updates a second of "
            f"{hub.ceiling_per_s:g}; it climbs again by itself"
        )
        yield PlanWarning(code="hub_slowed", field="targets", message=message)


def _newcomers(facts: PlanFacts) -> Iterator[PlanWarning]:
    if facts.spec.targeting.membership is Membership.DYNAMIC:
        message = (
            "devices that begin to match later join the last wave, which stays open: the plan is for those that match "
            "now, and the campaign does not complete before its membership is closed"
        )
        yield PlanWarning(code="newcomers_not_counted", field="targets.membership", message=message)


_RULES: tuple[Callable[[PlanFacts], Iterator[PlanWarning]], ...] = (
    _empty_waves,
    _large_first_wave,
    _gate_without_slack,
    _gate_without_bound,
    idle_limits,
    hidden_cohorts,
    _minimum_above_wave,
    _short_offer_deadline,
    _short_window_deadline,
    ends_too_early,
    _newcomers,
    unheard_devices,
    gone_devices,
    _held_devices,
    _current_devices,
    _newer_devices,
    _no_package,
    _unused_package,
    _daily_quota,
    _slowed_hub,
)
