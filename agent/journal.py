"""The log: structured entries for systemd's journal, or plain lines on standard error.

Source: systemd's NATIVE_JOURNAL_PROTOCOL, and JOURNAL_STREAM in systemd.exec(5).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
LONGEST = 8 * 1024  # octets of one field; an entry stays far below what a datagram holds
# syslog(3): what an entry of each level is for journalctl -p
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG_PRIORITY = 7
BURST = 20  # entries of one kind
WINDOW = 30.0  # seconds in which a burst may come

Fields = Mapping[str, str]


class JournalHandler(logging.Handler):
    """Sends each record as one entry with its fields; to standard error when the journal does not take it.

    A record's ``fields`` (given as ``extra={"fields": {..}}``) become fields of the entry, in capitals
    behind ``ENROLLD_``.
    """

    def __init__(self, address: str = SOCKET, fallback: TextIO | None = None) -> None:
        super().__init__()
        self._address = address
        self._fallback = fallback or sys.stderr
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)  # a journal that hangs must not stop the agent

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        message = self.format(record)
        entry = {
            "MESSAGE": message,
            "PRIORITY": str(priority_of(record.levelno)),
            "SYSLOG_IDENTIFIER": "enrolld",
            "LOGGER": record.name,
            **{f"ENROLLD_{name.upper()}": value for name, value in fields_of(record).items()},
        }
        try:
            self._socket.sendto(encode(entry), self._address)
        except OSError:
            # systemd reads a level in front of each line of a service's standard error
            prefix = f"<{priority_of(record.levelno)}>"
            self._fallback.write("".join(f"{prefix}{line}\n" for line in message.splitlines() or [""]))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


class RateLimit(logging.Filter):
    """Lets 20 records of one kind pass in 30 s, then says how many it left out.

    A kind is a logger, a level and a text before its values are filled in, so nothing from outside can
    make a new one. Errors pass always.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True when the record may be written."""
        if record.levelno >= logging.ERROR:
            return True
        kind, now = (record.name, record.levelno, str(record.msg)), self._now()
        began, count = self._kinds.get(kind, (now, 0))
        if now - began >= WINDOW:
            if count > BURST:
                record.msg = f"{record.msg} (and {count - BURST} more like it were left out before)"
            began, count = now, 0
        self._kinds[kind] = began, count + 1
        return count < BURST


def priority_of(level: int) -> int:
    """The syslog priority of a logging level."""
    return next((number for least, number in PRIORITIES if level >= least), DEBUG_PRIORITY)


def fields_of(record: logging.LogRecord) -> Fields:
    """The fields that were given with a record."""
    given: Fields = getattr(record, "fields", {})
    return given


def encode(entry: Mapping[str, str]) -> bytes:
    """One entry in the native protocol: ``NAME=value``, with a length where the value has several lines."""
    parts = []
    for name, text in entry.items():
        value = text.encode("utf-8", "backslashreplace")[:LONGEST]
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


def is_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """True when that stream is the one that the service manager connected to the journal."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def make_handler(environ: Mapping[str, str], stream: TextIO) -> logging.Handler:
    """The handler for a daemon with that standard error, its rate limit included."""
    handler: logging.Handler
    if is_journal(environ, stream):
        handler = JournalHandler(fallback=stream)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RateLimit())
    return handler
