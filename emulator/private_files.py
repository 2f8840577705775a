"""Files that only this user can read, written all at once."""

import os
from pathlib import Path


def write_private_bytes(path: Path, content: bytes) -> None:
    """Replace the file: 0600 from the first byte, never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
