"""Print branch coverage and hold its floors: all of the SDK, 95 % of the server and the command line.

The SDK's floor leaves room for the few lines that only a race reaches: one run in many may miss one of them.
"""

from __future__ import annotations

import subprocess
import sys

FLOORS = (
    ("SDK", ["--omit", "*/mirante/server/*,*/mirante/cli/*,*/mirante/__main__.py"], 99.9),
    ("server and command line", ["--include", "*/mirante/server/*,*/mirante/cli/*,*/mirante/__main__.py"], 95),
)


def main() -> int:
    """Report both halves; 1 when one of them is below its floor."""
    low = []
    for name, selection, floor in FLOORS:
        print(f"\n== Coverage of the {name} (floor {floor} %)", flush=True)
        report = [sys.executable, "-m", "coverage", "report", *selection, "--precision=1", f"--fail-under={floor}"]
        if subprocess.run(report, check=False).returncode:
            low.append(name)
    if low:
        print(f"\ncoverage is below its floor: {', '.join(low)}", file=sys.stderr)
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
