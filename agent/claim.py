"""One daemon on one state directory: two would each believe their own memory of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from agent.errors import ConfigError

LOCK_FILE = "lock"


@contextlib.contextmanager
def claim(state: Path) -> Iterator[None]:
    """Hold the state directory while the block runs; ConfigError when another process holds it.

    The kernel lets go of it when the process ends, however it ends. A directory that cannot be written is
    not claimed: the store says what is wrong with it, and nothing can be changed in it.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(
            f"another enrolld uses the state directory {state}; stop it, or give it another (--state DIR)"
        ) from None
    try:
        yield
    finally:
        os.close(lock)
