"""The live screen of ``watch``: status and enrollees, drawn anew every second."""

from __future__ import annotations

import argparse
import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.cli.client import Json, read
from agent.cli.exits import DONE
from agent.cli.options import show
from agent.cli.rows import enrollee_lines, status_lines
from agent.cli.table import fit

PERIOD = 1.0
# ECMA-48 and xterm's control sequences, private modes 1049 (second screen) and 25 (cursor).
ENTER = "\x1b[?1049h\x1b[?25l"
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def run_watch(args: argparse.Namespace) -> int:
    """Draw until ``q``; 69 when the daemon goes away. Without a terminal: one plain picture."""
    if args.json or not sys.stdout.isatty():
        picture = take_picture(args.run_dir)
        show(args, picture, picture_lines(picture))
        return DONE
    with live_screen() as keys:
        while True:
            draw(picture_lines(take_picture(args.run_dir)))
            if wait_for_key(keys) == b"q":
                return DONE


def take_picture(run: Path) -> Json:
    """Status and enrollees in one document."""
    return {"v": 1, "status": read(run, "/v1/status"), "enrollees": read(run, "/v1/enrollees")["enrollees"]}


def picture_lines(picture: Json) -> list[str]:
    """The lines of the screen, top to bottom."""
    return [*status_lines(picture["status"]), "", *enrollee_lines(picture)]


@contextmanager
def live_screen() -> Iterator[int | None]:
    """The second screen without cursor, keys coming one by one; all as before when the block ends.

    Yields the descriptor to read keys from, None when standard input is no terminal.
    """
    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = termios.tcgetattr(keys) if keys is not None else None
    try:
        if keys is not None:
            tty.setcbreak(keys)
        sys.stdout.write(ENTER)
        yield keys
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        if keys is not None and before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)


def draw(lines: Sequence[str]) -> None:
    """Put the lines on the screen, cut to its size; nothing is cleared first, so nothing flickers."""
    width, height = shutil.get_terminal_size()
    shown = [fit(line, width) + END_OF_LINE for line in lines[:height]]
    sys.stdout.write(HOME + "\r\n".join(shown) + END_OF_SCREEN)
    sys.stdout.flush()


def wait_for_key(keys: int | None) -> bytes:
    """The key pressed within a second, or nothing."""
    ready, _, _ = select.select([] if keys is None else [keys], [], [], PERIOD)
    return os.read(keys, 1) if ready and keys is not None else b""
