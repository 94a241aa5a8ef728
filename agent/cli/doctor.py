"""``doctor``: what is wrong on this machine and how to mend it; needs no daemon, sees more as root."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from agent.checkup import Machine, Severity, examine
from agent.cli.exits import DONE, NO
from agent.cli.options import Commands, add_daemon_command, show
from agent.cli.table import printable

CONFIG = Path("/etc/enrolld/enrolld.toml")
STATE = Path("/var/lib/enrolld")
MARKS = {Severity.GOOD: "ok", Severity.NOTE: "note", Severity.PROBLEM: "WRONG"}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_daemon_command(
        commands, "doctor", "say what is wrong on this machine and how to mend it", run
    )
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--state", type=Path, default=STATE, metavar="DIR", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when something does not work."""
    findings = list(examine(Machine(args.config, args.state, args.run_dir)))
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    lines = []
    for finding in findings:
        lines.append(printable(f"{MARKS[finding.severity]:5}  {finding.part}: {finding.sentence}"))
        if finding.mend is not None:
            lines.append(printable(f"       -> {finding.mend}"))
    lines.append(f"{problems} problems" if problems else "nothing is wrong")
    rows = [{**dataclasses.asdict(finding), "severity": str(finding.severity)} for finding in findings]
    show(args, {"v": 1, "ok": not problems, "findings": rows}, lines)
    return NO if problems else DONE
