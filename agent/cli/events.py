"""``events`` and ``watch``: what happens, as a stream and as a live screen."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from agent.cli.client import Json, follow
from agent.cli.exits import DONE, UNREACHABLE, CommandFailed
from agent.cli.options import Commands, add_daemon_command, show
from agent.cli.rows import when
from agent.cli.table import json_line, printable
from agent.cli.watch import run_watch

KNOWN = {"v", "seq", "at", "kind"}


def add(commands: Commands) -> None:
    """Add the commands ``events`` and ``watch``."""
    parser = add_daemon_command(commands, "events", "print what happened lately", run_events)
    parser.add_argument(
        "--follow", action="store_true", help="and go on as it happens; with --json one a line"
    )
    parser.add_argument("--after", type=read_number, metavar="N", help="only those numbered above N")
    add_daemon_command(commands, "watch", "a live screen; q ends it", run_watch)


def read_number(text: str) -> int:
    """A sequence number; argparse makes a usage error of anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of an event")
    return int(text)


def run_events(args: argparse.Namespace) -> int:
    """Print the kept events, and with ``--follow`` each new one until the daemon goes away (69)."""
    after = "" if args.after is None else f"&after={args.after}"
    events = follow(args.run_dir, f"/v1/events?follow={int(args.follow)}{after}")
    if args.follow:
        return print_as_they_come(events, as_json=args.json)
    kept = list(events)
    missed = sum(event.get("missed", 0) for event in kept)
    told = [event for event in kept if "seq" in event]
    show(args, {"v": 1, "missed": missed, "events": told}, map(event_line, kept))
    return DONE


def print_as_they_come(events: Iterable[Json], *, as_json: bool) -> int:
    for event in events:
        print(json_line(event) if as_json else event_line(event), flush=True)
    raise CommandFailed(UNREACHABLE, "enrolld ended the stream: it stops or starts again")


def event_line(event: Json) -> str:
    """``10:41:07.250Z enrollee_found id=ble:.. rssi=-61``; what was missed is a ``#`` line."""
    if "seq" not in event:
        return f"# {event.get('missed')} events missed"
    fields = [f"{name}={field_text(value)}" for name, value in event.items() if name not in KNOWN]
    return printable(" ".join([when(event["at"]), event["kind"], *fields]))


def field_text(value: object) -> str:
    """A word as it is, everything else as JSON."""
    if isinstance(value, str) and value and not any(c.isspace() or c in "\"'=" for c in value):
        return value
    return json.dumps(value, ensure_ascii=False)
