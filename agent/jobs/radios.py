"""One job for each radio: it listens, or it is in named trouble and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from agent.events import EventLog
from agent.health import Health
from agent.jobs.keeping import Retry, keep_running, recovered
from agent.ports import Clock


class Hearing(Protocol):
    """How much a radio delivered so far, counted where it comes in."""

    frames: int
    last: float | None


Listen = Callable[[Callable[[], None]], Awaitable[NoReturn]]


class RadioJob:
    """Keeps one radio listening and knows its state for ``adapters``."""

    def __init__(
        self,
        name: str,
        kind: str,
        listen: Listen,
        hearing: Hearing,
        *,
        clock: Clock,
        health: Health,
        log: EventLog,
    ) -> None:
        self.name = name
        self.kind = kind
        self.subject = f"{kind} {name}"  # a BLE and a Wi-Fi radio may share a name
        self.retry = Retry()
        self.verdict = asyncio.Event()  # set once it listens or has a named trouble
        self._listen = listen
        self._hearing = hearing
        self._listening = False
        self._clock = clock
        self._health = health
        self._log = log

    async def run(self) -> None:
        """Listen for ever."""
        await keep_running(self.subject, self._once, self.retry, health=self._health, clock=self._clock)

    async def _once(self) -> None:
        try:
            await self._listen(self._opened)
        finally:
            self.verdict.set()
            if self._listening:
                self._listening = False
                self._log.emit("radio_failed", radio=self.name, medium=self.kind)

    def _opened(self) -> None:
        if not self._listening:
            self._listening = True
            self._log.emit("radio_opened", radio=self.name, medium=self.kind)
        recovered(self.subject, self.retry, self._health)
        self.verdict.set()

    def document(self) -> dict[str, object]:
        """One row of ``adapters``."""
        now = self._clock.boot()
        last, again = self._hearing.last, self.retry.next_try
        state = "listening" if self._listening else "down" if self.retry.trouble else "opening"
        return {
            "name": self.name,
            "kind": self.kind,
            "state": state,
            "heard": self._hearing.frames,
            "last_heard": None if last is None else round(now - last, 3),
            "trouble": self.retry.trouble,
            "next_try": None if again is None else round(max(0.0, again - now), 3),
        }
