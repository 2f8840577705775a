"""What the operator sees: waves filling, states changing, and the reason when a gate stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

BAR_CELLS = 28
STATE_STYLES = {
    "succeeded": "green",
    "restarting": "cyan",
    "installing": "blue",
    "downloaded": "blue",
    "downloading": "bright_blue",
    "offered": "yellow",
    "planned": "bright_black",
    "failed": "red",
    "rejected": "magenta",
    "timed_out": "bright_red",
    "regressed": "red",
    "cancelled": "bright_black",
    "skipped": "bright_black",
}
CAMPAIGN_STYLES = {"running": "bold cyan", "completed": "bold green", "paused": "bold red", "aborted": "bold red"}


def show_campaign(campaign: Mapping[str, Any]) -> RenderableType:
    """A campaign, as ``GET /api/campaigns/{id}`` answers it, with one bar per wave."""
    table = Table(box=None, padding=(0, 1), header_style="dim", expand=True)
    for heading in ("wave", "", "devices", "state"):
        table.add_column(heading, no_wrap=heading != "devices")
    table.add_column("gate", ratio=1)
    for wave in campaign["waves"]:
        table.add_row(
            wave["name"], _bar(wave["counters"]), _counts(wave["counters"]), wave["state"], Text(wave["verdict"], "dim")
        )
    head = Text.assemble(
        (f"{campaign['package']} {campaign['version']}  ", "bold"),
        (campaign["state"], CAMPAIGN_STYLES.get(campaign["state"], "bold yellow")),
    )
    parts: list[RenderableType] = [head, table]
    if campaign["reason"]:
        parts.append(Text(campaign["reason"], CAMPAIGN_STYLES.get(campaign["state"], "")))
    return Panel(Group(*parts), title=campaign["name"], title_align="left", border_style="dim")


def _bar(counters: Mapping[str, int]) -> Text:
    total = sum(counters.values())
    bar = Text()
    drawn = reached = 0
    for state, style in STATE_STYLES.items():
        reached += counters.get(state, 0)
        cells = round(BAR_CELLS * reached / total) - drawn if total else 0
        bar.append("█" * cells, style)
        drawn += cells
    return bar


def _counts(counters: Mapping[str, int]) -> Text:
    parts = [(f"{counters[state]} {state} ", style) for state, style in STATE_STYLES.items() if counters.get(state)]
    return Text.assemble(*parts)


def show_rows(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Rows of a table query as a table."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    return table
