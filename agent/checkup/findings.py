"""What a check-up says: findings, each with the step that mends it, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

UNITS = ("enrolld.service", "enrolld.socket", "enrolld-join.socket", "enrolld-admin.socket")


class Severity(StrEnum):
    """How bad a finding is; with a problem something does not work."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was seen, and the command or step that mends it."""

    part: str
    severity: Severity
    sentence: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look; tests look elsewhere."""

    config: Path
    state: Path
    run: Path
    sys: Path = Path("/sys")
    systemctl: str = "systemctl"


Findings = Iterator[Finding]


def good(part: str, sentence: str) -> Finding:
    """Nothing to do there."""
    return Finding(part, Severity.GOOD, sentence)


def problem(part: str, sentence: str, mend: str) -> Finding:
    """Something does not work until that is done."""
    return Finding(part, Severity.PROBLEM, sentence, mend)
