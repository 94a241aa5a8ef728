"""``why``: the chain of facts behind the last decision on a device."""

from __future__ import annotations

import argparse

from agent.cli.client import Json, read, segment
from agent.cli.exits import DONE
from agent.cli.options import Commands, add_daemon_command, show
from agent.cli.rows import when
from agent.cli.table import align, printable


def add(commands: Commands) -> None:
    """Add the command ``why``."""
    parser = add_daemon_command(commands, "why", "explain the last decision on a device", run_why)
    parser.add_argument("name", metavar="ENROLLEE|DEVICENAME", help="an id, or a MAC or name that is unique")


def run_why(args: argparse.Namespace) -> int:
    """Print the decision and its facts; 66 when nothing is known of that name."""
    document = read(args.run_dir, f"/v1/why/{segment(args.name)}")
    show(args, document, why_lines(document))
    return DONE


def why_lines(document: Json) -> list[str]:
    """The decision first, then each fact in its order."""
    decision = document["decision"]
    if decision is None:
        verdict = "no decision yet"
    else:
        verdict = "admitted" if decision["admitted"] else f"refused ({decision['reason']})"
        verdict += f" at {when(decision['at'])}: {decision['sentence']}"
    facts = [(f"  {fact['name']}", fact["sentence"]) for fact in document["facts"]]
    return [printable(f"{document['subject']}: {verdict}"), *align(facts)]
