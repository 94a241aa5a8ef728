"""The machine's own clock: CLOCK_BOOTTIME for durations, UTC for display, the boot id for identity."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The id of this boot: ``$ENROLLD_BOOT_ID`` (``%b`` in the unit), else /proc's, else a new one.

    The unit hands it over because ProcSubset=pid hides the file. Dashes are dropped: systemd writes none.
    A boot that cannot be named is never the same again: whatever is timed ends with the process.
    """
    given = os.environ.get("ENROLLD_BOOT_ID", "")
    if not given:
        try:
            given = BOOT_ID.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return f"unknown-{uuid.uuid4().hex}"
    return given.strip().replace("-", "").lower()


class SystemClock:
    """The Clock of a running daemon."""

    def __init__(self) -> None:
        self.boot_id = read_boot_id()

    def boot(self) -> float:
        """Seconds since boot, suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def utc(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)
