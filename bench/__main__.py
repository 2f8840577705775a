"""``make bench``: every measurement, one after the other."""

from __future__ import annotations

import subprocess
import sys

MEASUREMENTS = (["bench.ingest"], ["bench.publish"], ["bench.targets"], ["bench.wave", "--devices", "1000"])


def main() -> int:
    """Run each in a process of its own, so that none inherits another's memory."""
    for module, *arguments in MEASUREMENTS:
        print(f"\n== {module} {' '.join(arguments)}", flush=True)
        if (status := subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode) != 0:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
