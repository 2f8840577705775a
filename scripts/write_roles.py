"""Writes what else knows infra/roles.json: the table in docs/security.md, and what an error says is missing."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/security.md"
NEEDED = ROOT / "shared/adapters/needed_roles.json"
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


def needed_roles() -> str:
    """JSON: resource, such as ``container packages``, to the roles that each app needs on it."""
    needed: dict[str, dict[str, list[str]]] = {}
    for row in json.loads((ROOT / "infra/roles.json").read_text())["assignments"]:
        # The host's own needs are the platform's to complain about.
        if any(not need.startswith("platform: ") for need in row["needs"]):
            apps = needed.setdefault(f"{row['kind']} {row['name']}".strip(), {})
            apps.setdefault(row["who"], []).append(row["role"])
    return json.dumps(needed, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    NEEDED.write_text(needed_roles())
    PAGE.write_text(with_table(PAGE.read_text()))
