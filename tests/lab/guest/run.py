"""What the laboratory machine runs: ``python3 -m tests.lab.guest.run SCRIPT..``."""

from __future__ import annotations

import importlib
import sys

from tests.lab.guest.steps import Script


def main(names: list[str]) -> int:
    """Play each script; 1 when a check failed."""
    worst = 0
    for name in names:
        script: Script = importlib.import_module(f"tests.lab.guest.{name}").script
        worst = max(worst, script.play())
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
