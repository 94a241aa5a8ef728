"""What a service and systemd tell each other: readiness, the watchdog, sockets handed over. No C library.

Sources: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). Without systemd all of this is silence.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Mapping

from agent.errors import ConfigError

FIRST_SOCKET = 3  # SD_LISTEN_FDS_START
MOST_SOCKETS = 64
PATIENCE = 1.0  # seconds for the manager's queue to take a message
NUMBER = re.compile(r"[0-9]{1,18}")

log = logging.getLogger("enrolld.systemd")


class Notifier:
    """Tells the service manager how it goes; says nothing when there is none (no ``NOTIFY_SOCKET``).

    ``watchdog`` is the time in seconds after which a silent service is restarted, None without one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog = _read_watchdog(environ)

    def ready(self) -> None:
        """The service is up, or a reload is done."""
        self._send("READY=1")

    def status(self, sentence: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={' '.join(sentence.split())}")

    def alive(self) -> None:
        """Every job's loop turned."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.settimeout(PATIENCE)
                manager.connect(self._address)
                manager.send(message.encode())
        except OSError as error:
            log.warning("the service manager does not hear %s: %s", message.split("=", maxsplit=1)[0], error)


def _read_watchdog(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    interval = environ.get("WATCHDOG_USEC", "")
    return int(interval) / 1e6 if NUMBER.fullmatch(interval) and int(interval) > 0 else None


def take_sockets(environ: Mapping[str, str], *, first: int = FIRST_SOCKET) -> dict[str, socket.socket]:
    """The listening sockets that the manager handed over, by their ``FileDescriptorName``.

    They are ours from now on and no child inherits them. Empty when none are meant for this process;
    ConfigError for something that is not a listening Unix stream socket, or a name that comes twice.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    text = environ.get("LISTEN_FDS", "")
    count = int(text) if NUMBER.fullmatch(text) else 0
    if not 0 <= count <= MOST_SOCKETS:
        raise ConfigError(f"LISTEN_FDS={text}: at most {MOST_SOCKETS} sockets are taken")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (count - len(names))
    taken: dict[str, socket.socket] = {}
    try:
        for number, name in zip(range(first, first + count), names, strict=False):
            if name in taken:
                raise ConfigError(f"two sockets are handed over by the name {name!r}")
            taken[name] = _take(number, name)
    except ConfigError:
        for handed in taken.values():
            handed.close()
        raise
    return taken


def _take(number: int, name: str) -> socket.socket:
    try:
        handed = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigError(
            f"file {number} ({name!r}) of LISTEN_FDS is not a socket: {error.strerror}"
        ) from error
    handed.set_inheritable(False)
    stream = handed.family == socket.AF_UNIX and handed.type == socket.SOCK_STREAM
    if not stream or not handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        handed.close()
        raise ConfigError(f"the socket {name!r} that was handed over is no listening Unix stream socket")
    return handed
