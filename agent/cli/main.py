"""``enrollctl``: asks the daemon, changes what it may, and helps offline. One file per group of commands."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from agent.cli.exits import DONE, INTERRUPTED, NO, NO_INPUT, NOT_PERMITTED, exit_code_of
from agent.cli.table import printable
from agent.errors import AgentError

# Which file has which command. Only the one that is asked for is loaded: a shell waits for it.
GROUPS = {
    "show": ("status", "enrollees", "permits", "subdevices", "tokens", "adapters", "health", "metrics"),
    "events": ("events", "watch"),
    "change": ("permit", "provision", "forget", "loglevel"),
    "why": ("why",),
    "key": ("key",),
    "decode": ("decode",),
    "replay": ("replay",),
    "api": ("api",),
    "cloud": ("cloud",),
    "demo": ("demo",),
    "doctor": ("doctor",),
}


class Parser(argparse.ArgumentParser):
    """Takes options by their full names: a slip of ``--secret`` is not taken for ``--secret-file``."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})


class ShowVersion(argparse.Action):
    """Prints the version and ends; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"enrollctl {version('enrolld')}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status of DESIGN 3. Named errors are one sentence on stderr."""
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no failure
    try:
        args = build_parser(words).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        return leave_pipe()
    except KeyboardInterrupt:
        return INTERRUPTED
    except AgentError as error:
        return fail(exit_code_of(error), str(error))
    except FileNotFoundError as error:
        return fail(NO_INPUT, f"{error.filename}: {error.strerror}")
    except PermissionError as error:
        return fail(NOT_PERMITTED, f"{error.filename}: {error.strerror}")
    except OSError as error:  # what is left is our own output: a full disk behind it
        leave_pipe()
        return fail(NO, f"the output could not be written: {error.strerror or error}")
    return code


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for one command line: the group of its first word, or all of them for help and mistakes."""
    parser = Parser(
        prog="enrollctl",
        description="Ask and steer enrolld, the provisioning agent of this gateway.",
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    first = words[0] if words else ""
    asked = [group for group, names in GROUPS.items() if first in names]
    for group in () if first == "--version" else asked or GROUPS:
        importlib.import_module(f"agent.cli.{group}").add(commands)
    return parser


def leave_pipe() -> int:
    """Whoever read our output has enough. Python would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def fail(code: int, sentence: str) -> int:
    """Say why on stderr, and give the exit status back."""
    print(printable(f"enrollctl: {sentence}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
