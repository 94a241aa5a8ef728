"""The real daemon with a kill switch: it dies by SIGKILL at a chosen store commit or send.

``python -m tests.crash.child PLACE [--kill-at N]`` runs one by hand; without ``--kill-at`` it lives until
SIGTERM. The events counted are: before and after each commit of the agent's store and of the embedded
service's, and before each send.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
from functools import partial
from pathlib import Path

from agent import config
from agent.assembly import Probes
from agent.clock import SystemClock
from agent.daemon import Daemon, Orders, load_credentials

LOGINS_PER_MINUTE = 1_000_000  # a gateway that is killed every second logs everybody in as often
STDIN, STDOUT = 0, 1


class KillSwitch:
    """Counts the events and ends the process, as a power cut would, at the one with that number."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._numbers = itertools.count(1)

    def pass_by(self, what: str, moment: str) -> None:
        """One event; called in the threads of both stores and of the loop."""
        if next(self._numbers) == self._at:
            os.write(STDOUT, f"killed {what} {moment}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def probes(self) -> Probes:
        """The switch in every place where the agent can be watched."""
        return Probes(
            on_commit=partial(self.pass_by, "store"),
            on_service_commit=partial(self.pass_by, "service"),
            on_send=partial(self.pass_by, "send"),
        )


def live(place: Path, kill_at: int | None, *, tethered: bool = False) -> None:
    """Run the daemon of a place until SIGTERM; ``tethered``: it dies when its standard input ends."""
    orders = Orders(
        config=place / "enrolld.toml",
        state=place / "state",
        run=place / "run",
        strict=True,
        probes=KillSwitch(kill_at).probes(),
        logins_per_minute=LOGINS_PER_MINUTE,
    )
    settings = config.load(orders.config)
    known = load_credentials(settings)

    async def main() -> None:
        daemon = Daemon(orders, settings, known, SystemClock())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, daemon.stopping.set)
        if tethered:
            loop.add_reader(STDIN, os.kill, os.getpid(), signal.SIGKILL)
        await daemon.run()

    asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description="the daemon of a crash test's place")
    parser.add_argument("place", type=Path)
    parser.add_argument("--kill-at", type=int)
    given = parser.parse_args()
    live(given.place, given.kill_at)


if __name__ == "__main__":
    main()
