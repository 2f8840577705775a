"""Write ``docs/schemas/campaign.schema.json`` from the models: ``.venv/bin/python -m scripts.write_schema``."""

from __future__ import annotations

import json
from pathlib import Path

from shared.wire.campaign_files import write_schema

SCHEMA = Path(__file__).parents[1] / "docs/schemas/campaign.schema.json"


def render() -> str:
    """The text of the file."""
    return json.dumps(write_schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(render())
