"""What the service manager hears of the daemon while it runs: a sign of life, and one line of state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NoReturn

from agent.health import Health
from agent.jobs.radios import RadioJob
from agent.ports import Clock
from agent.systemd import Notifier

LOOK_EVERY = 5.0
TURNS_PER_INTERVAL = 3  # two signs of life may get lost

log = logging.getLogger("enrolld.watchdog")


class Watchdog:
    """Lets the manager restart a daemon of which a job is stuck, by keeping silent."""

    def __init__(self, notifier: Notifier, health: Health, clock: Clock, radios: Sequence[RadioJob]) -> None:
        self._notifier = notifier
        self._health = health
        self._clock = clock
        self._radios = radios
        self._told = ""
        self._stuck: list[str] = []

    async def run(self) -> NoReturn:
        """Look after the jobs until cancelled."""
        every = LOOK_EVERY
        if self._notifier.watchdog is not None:
            every = min(every, self._notifier.watchdog / TURNS_PER_INTERVAL)
        while True:
            self._look()
            await self._clock.sleep(every)

    def _look(self) -> None:
        stuck = self._health.turns.overdue(self._clock.boot())
        if stuck and stuck != self._stuck:
            log.error("stuck: %s; nothing is told to the watchdog until that turns again", ", ".join(stuck))
        self._stuck = stuck
        if not stuck:
            self._notifier.alive()
        line = self._describe()
        if line != self._told:
            self._told = line
            self._notifier.status(line)

    def _describe(self) -> str:
        if self._stuck:
            return f"stuck: {', '.join(self._stuck)}"
        listening = sum(radio.document()["state"] == "listening" for radio in self._radios)
        codes = sorted({warning.code for warning in self._health.warnings()})
        return f"{listening} of {len(self._radios)} radios listen; {', '.join(codes) or 'nothing is wrong'}"
