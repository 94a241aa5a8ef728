"""What every command that asks the daemon has in common: its options, and how it prints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from agent.cli.table import json_line
from agent.status.sockets import RUN

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]


def add_daemon_command(commands: Commands, name: str, does: str, run: Run) -> argparse.ArgumentParser:
    """A command with ``--run DIR`` and ``--json`` that ``run`` carries out."""
    parser = commands.add_parser(name, help=does, description=does)
    where = f"where its sockets are (default {RUN})"
    parser.add_argument("--run", dest="run_dir", type=Path, default=RUN, metavar="DIR", help=where)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)
    return parser


def show(args: argparse.Namespace, document: object, lines: Iterable[str]) -> None:
    """Print the document with ``--json``, else the lines."""
    print(json_line(document) if args.json else "\n".join(lines))
