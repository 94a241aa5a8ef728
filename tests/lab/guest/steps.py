"""Numbered checks inside the laboratory machine: each one's result is a line of JSON for the host."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path

OUT = Path("/lab/out")

Check = Callable[[], str | None]


class Script:
    """An ordered list of checks; one that fails does not keep the next from running."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._checks: list[tuple[str, Check]] = []

    @property
    def names(self) -> list[str]:
        """What each check shows, in order."""
        return [name for name, _ in self._checks]

    def shows(self, name: str) -> Callable[[Check], Check]:
        """Add a check; what it returns is told beside its name."""

        def add(check: Check) -> Check:
            self._checks.append((name, check))
            return check

        return add

    def play(self) -> int:
        """Run all; 0 when all were good."""
        failures = 0
        with (OUT / f"{self.name}.jsonl").open("w", encoding="utf-8") as results:
            for name, check in self._checks:
                began = time.monotonic()
                try:
                    good, text = True, check() or ""
                except Exception:  # noqa: BLE001  a check fails by whatever it raises
                    good, text = False, traceback.format_exc(limit=-4)
                    failures += 1
                seconds = time.monotonic() - began
                row = {"name": name, "good": good, "text": text, "seconds": round(seconds, 1)}
                print(json.dumps(row), file=results, flush=True)
                print(f"{'ok' if good else 'FAIL':4} {seconds:6.1f} s  {name}: {text}", flush=True)
        return min(failures, 1)
