"""The three sockets in the run directory: which right each one gives, how they are bound and left."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent.errors import ConfigError

RUN = Path("/run/enrolld")
PATH_OCTETS = 107  # unix(7): sun_path holds 108, the last of them zero
BACKLOG = 128


class Right(Enum):
    """What the peer of a socket may do; the value is the socket's file name.

    The right is the socket that you can open (DESIGN 2).
    """

    READ = "enrolld.sock"
    JOIN = "join.sock"
    CHANGE = "admin.sock"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and its right; ``path`` and ``inode`` are None when systemd owns the file."""

    right: Right
    socket: socket.socket
    path: Path | None = None
    inode: int | None = None

    def close(self) -> None:
        """Stop listening and remove the file, unless somebody put another in its place; twice is once."""
        self.socket.close()
        if self.path and self.path.exists() and self.path.lstat().st_ino == self.inode:
            self.path.unlink(missing_ok=True)


def socket_path(run: Path, right: Right) -> Path:
    """Where the socket of that right is; ConfigError when the kernel takes no path that long."""
    path = run / right.value
    if len(os.fsencode(path)) > PATH_OCTETS:
        raise ConfigError(
            f"{path} is too long for a socket: {PATH_OCTETS} bytes at most, use a shorter --run"
        )
    return path


def bind_all(run: Path) -> list[Listener]:
    """All three sockets, listening, mode 0600; a missing directory is made.

    ConfigError, and nothing left open, when one cannot be had or another enrolld answers there.
    """
    with ExitStack() as undo:
        listeners = []
        for right in Right:
            path = socket_path(run, right)
            listeners.append(_bind(path, right))
            undo.callback(listeners[-1].close)
        undo.pop_all()
        return listeners


def adopt(handed: Mapping[str, socket.socket]) -> list[Listener]:
    """The sockets that systemd bound, by name, as listeners; ConfigError for a name that is none of ours.

    Their files, modes and groups are the socket units' business (DESIGN 2). One that is not there is
    missing here too.
    """
    listeners = []
    for name, listening in handed.items():
        try:
            listeners.append(Listener(Right(name), listening))
        except ValueError:
            known = ", ".join(right.value for right in Right)
            raise ConfigError(f"a socket is handed over as {name!r}; FileDescriptorName is {known}") from None
    return listeners


def _bind(path: Path, right: Right) -> Listener:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        listening.bind(os.fspath(path))
        path.chmod(0o600)  # whatever the umask: nobody can connect before listen()
        inode = path.lstat().st_ino
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from error
    except ConfigError:
        listening.close()
        raise
    return Listener(right, listening, path, inode)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} is there and is not a socket: remove it or use another --run")
    if _answers(path):
        raise ConfigError(f"another enrolld runs here: {path} answers; stop it or use another --run")
    path.unlink()


def _answers(path: Path) -> bool:
    """True unless the kernel says that nobody listens; a full queue (EAGAIN) means that somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        return probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED
