"""What happened lately, for ``events``, ``watch`` and the demo: a bounded memory that readers follow.

Nobody subscribes and nothing is queued per reader: a reader remembers the last sequence number that
it saw, and one that is too slow is told how many it missed.
"""

from __future__ import annotations

import asyncio
from collections import deque

from agent.model import Event
from agent.ports import Clock

KEPT = 2048


class EventLog:
    """The last 2048 events, numbered from 1 without gaps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._seq = 0
        self._more = asyncio.Event()

    @property
    def last(self) -> int:
        """The sequence number of the newest event, 0 when there is none."""
        return self._seq

    def emit(self, kind: str, **fields: object) -> Event:
        """Record one event and wake every reader; fields are plain JSON values, never secrets."""
        self._seq += 1
        event = Event(self._seq, self._clock.utc(), self._clock.boot(), kind, fields)
        self._events.append(event)
        self._more.set()
        self._more = asyncio.Event()
        return event

    def after(self, seq: int) -> tuple[int, list[Event]]:
        """How many events after ``seq`` are forgotten already, and the ones that are kept."""
        first = self._seq - len(self._events) + 1
        missed = max(0, first - seq - 1)
        skip = max(0, seq + 1 - first)
        return missed, [e for n, e in enumerate(self._events) if n >= skip]

    async def wait(self, seq: int) -> None:
        """Return once there is an event after ``seq``."""
        while self._seq <= seq:
            await self._more.wait()
