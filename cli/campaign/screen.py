"""Plans and differences as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.wire.http_dry_runs import CostView, ExistingView, ForecastView

_HEAD = ("wave", "name", "devices", "offers", "batches", "starts after", "dispatch", "soak", "done after")


def plan_lines(plan: ForecastView) -> Iterator[str]:
    """A plan, readable in 100 columns."""
    about = "" if plan.basis == "exact" else " found so far"
    held = f"{plan.conflicts.count:,} held by other campaigns"
    yield f"  {plan.devices:,} devices{about}; {held}, {plan.current:,} current"
    for package in plan.packages:
        yield f"    {package.name} {package.version} is for {package.devices:,} of them"
    if plan.packages:
        yield f"    none of the packages is for {plan.no_package:,} of them"
    for conflict in plan.conflicts.devices:
        yield f"    {conflict.device} is held by {conflict.campaign}"
    yield from _table([_HEAD, *_wave_rows(plan)])
    duration = plan.duration
    yield (
        f"  at least {_time(duration.seconds)}, {_time(duration.dispatch_s)} of it at "
        f"{duration.twin_updates_per_s:g} of {duration.ceiling_per_s:g} twin updates a second"
    )
    yield f"  from {_minute(duration.begins_at)} to {_minute(duration.ends_at)} at the earliest"
    usage = plan.usage
    yield (
        f"  {usage.twin_writes:,} twin writes, {usage.queue_messages:,} queue messages, "
        f"{usage.table_transactions:,} table transactions, {_size(usage.egress_bytes)} to deliver"
    )
    if retries := plan.retries:
        yield (
            f"  {retries.offers:,} further offers on top if {retries.assumed_failure_percent:g} % "
            f"of all attempts failed, {_time(retries.dispatch_s)}"
        )
    yield from _cost_lines(plan.cost)
    for warning in plan.warnings:
        yield f"  ! {warning.field}: {warning.message}"


def difference_lines(existing: ExistingView, place_of: Callable[[str], str] = lambda _field: "") -> Iterator[str]:
    """How a campaign is not what the file says.

    Args:
        place_of: Where a field is in the file, to go before it.
    """
    for each in existing.differences:
        where = f"{place_of(each.field)}{each.field}"
        yield f"    {where}: {_shown(each.campaign)} in the campaign, {_shown(each.request)} in the file"


def stop_lines(stop: Mapping[str, Any]) -> Iterator[str]:
    """What holds every campaign back, above a list of them; nothing where the fleet goes on."""
    if stop["stopped"]:
        yield f"the whole fleet is stopped since {stop['stopped_at']} by {stop['stopped_by']}: {stop['reason']}"


def unreadable_lines(campaigns: Sequence[str]) -> Iterator[str]:
    """What a list of campaigns lacks."""
    for campaign in campaigns:
        yield f"{campaign} is not shown: this version of the service cannot read it, a newer one wrote it"


def summary_lines(campaigns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A list of campaigns."""
    rows = [(each["id"], each["state"], _packages(each), f"{each['targets']:,}", each["name"]) for each in campaigns]
    yield from _table([("campaign", "state", "package", "devices", "name"), *rows])


def campaign_lines(campaign: Mapping[str, Any]) -> Iterator[str]:
    """A campaign with its waves."""
    yield f"{campaign['id']}  {campaign['name']}: {campaign['state']}"
    if campaign["reason"]:
        yield f"  {campaign['reason']}"
    yield from _variant_lines(campaign)
    yield from _hearsay_lines(campaign.get("plan", {}))
    yield from (f"  waits: {wait['words']}{_span(wait)}" for wait in campaign.get("waits_for", ()))
    if approval := campaign.get("approval"):
        yield f"  approval: {approval['missing']} missing, plan {approval['plan_sha256']}"
    rows = [
        (str(wave["number"]), wave["name"], wave["state"], f"{wave['devices']:,}", _counted(wave["counters"]))
        for wave in campaign["waves"]
    ]
    yield from _table([("wave", "name", "state", "devices", "counted"), *rows])
    yield f"  actions: {', '.join(campaign['actions']) or 'none'}"


def _span(wait: Mapping[str, Any]) -> str:
    """From when to when, as far as it is known, to the second."""
    times = [f"{word} {wait[word][:19]}" for word in ("since", "until") if wait[word]]
    return f" ({', '.join(times)})" if times else ""


def _wave_rows(plan: ForecastView) -> Iterator[Sequence[str]]:
    for wave in plan.waves:
        yield (
            str(wave.number),
            wave.name,
            f"{wave.devices:,}",
            f"{wave.offers:,}",
            f"{wave.batches:,}",
            _time(wave.starts_after_s),
            _time(wave.dispatch_s),
            _time(wave.soak_s),
            _time(wave.ends_after_s),
        )


def _cost_lines(cost: CostView) -> Iterator[str]:
    parts = ", ".join(f"{line.meter} {line.amount:,.2f}" for line in cost.lines if line.amount >= 0.005)
    yield f"  {cost.total:,.2f} {cost.currency}{f' ({parts})' if parts else ''}, by prices of {cost.prices_as_of}"
    if cost.unpriced:
        yield f"  not counted: {', '.join(cost.unpriced)}, and standing charges"


def _variant_lines(campaign: Mapping[str, Any]) -> Iterator[str]:
    """Whom each of several packages is for."""
    packages = campaign.get("packages", ())
    if len(packages) < 2:
        return
    for each in packages:
        yield f"  {each['name']} {each['version']} for {', '.join(each['hardware'])}: {each['devices']:,} devices"
    yield f"  none of them is for {campaign['plan']['no_package']:,} devices"


def _hearsay_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Devices that may not exist, as it looked when the campaign was planned."""
    for field, words in (("unheard", "nobody has heard of"), ("gone", "IoT Hub said that it has no more")):
        if count := plan.get(field, {}).get("count", 0):
            named = plan[field]["devices"]
            names = f": {', '.join(named)}" if len(named) == count else ""
            yield f"  when it was planned: {words} {count:,} devices{names}"


def _packages(campaign: Mapping[str, Any]) -> str:
    others = len(campaign.get("packages", ())) - 1
    return f"{campaign['package']} {campaign['version']}" + (f" and {others} more" if others > 0 else "")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _time(seconds: float) -> str:
    """Two units at most, such as ``2 h 14 min``."""
    whole = round(seconds)
    for unit, size, lower, lower_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // lower_size
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{seconds:g} s" if seconds < 10 else f"{whole} s"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.3g} TB"


def _counted(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counters.items()) or "-"


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
