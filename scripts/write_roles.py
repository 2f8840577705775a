"""Writes the table of roles in docs/security.md from infra/roles.json."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/security.md"
BEGIN, END = "<!-- roles: written by scripts/write_roles.py -->\n", "<!-- end of roles -->\n"


def roles_table() -> str:
    """The table in Markdown."""
    rows = json.loads((ROOT / "infra/roles.json").read_text())["assignments"]
    lines = ["| who | role | on | needed by |", "|---|---|---|---|"]
    for row in rows:
        needs = ", ".join(need if need.startswith("platform: ") else f"`{need}`" for need in row["needs"])
        lines.append(f"| {row['who']} | {row['role']} | {row['kind']} {row['name']}".rstrip() + f" | {needs} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + roles_table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
