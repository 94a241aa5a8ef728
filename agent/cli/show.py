"""What is so now: ``status``, ``enrollees``, ``permits``, ``adapters``, ``health`` and their like."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from agent.cli.client import Json, read, read_text
from agent.cli.exits import DONE, NO
from agent.cli.options import Commands, add_daemon_command, show
from agent.cli.rows import (
    access_point_lines,
    adapter_lines,
    enrollee_lines,
    health_lines,
    permit_lines,
    status_lines,
    subdevice_lines,
    token_lines,
)
from agent.cli.table import printable

Lines = Callable[[Json], list[str]]


def all_enrollee_lines(document: Json) -> list[str]:
    """Enrollees, then access points."""
    return [*enrollee_lines(document), "", *access_point_lines(document)]


SHOWN: dict[str, tuple[str, Lines]] = {
    "status": ("show how everything is", status_lines),
    "enrollees": ("list what was heard: enrollees and access points", all_enrollee_lines),
    "permits": ("list the open windows", permit_lines),
    "subdevices": ("list the sub-devices", subdevice_lines),
    "tokens": ("list the bind tokens, never their values", token_lines),
    "adapters": ("list the radios", adapter_lines),
    "health": ("say what is wrong; exit status 1 when something does not work", health_lines),
}


def add(commands: Commands) -> None:
    """Add the commands that print one document."""
    for name, (does, _) in SHOWN.items():
        parser = add_daemon_command(commands, name, does, run_show)
        parser.set_defaults(shown=name)
    add_daemon_command(commands, "metrics", "print the metrics in the Prometheus text format", run_metrics)


def run_show(args: argparse.Namespace) -> int:
    """Print the document; ``health`` answers no when a warning is an error."""
    document = read(args.run_dir, f"/v1/{args.shown}")
    show(args, document, SHOWN[args.shown][1](document))
    if args.shown != "health":
        return DONE
    return NO if any(w["severity"] == "error" for w in document["warnings"]) else DONE


def run_metrics(args: argparse.Namespace) -> int:
    """Print what ``/metrics`` answers; as JSON the text is one member."""
    text = read_text(args.run_dir, "/metrics")
    show(args, {"v": 1, "metrics": text}, [printable(line) for line in text.splitlines()])
    return DONE
