"""What must happen by itself: the store comes back, windows and grants end, old rows go, warnings stand."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from agent import permits
from agent.errors import StoreError
from agent.gateway.bindings import Bindings
from agent.gateway.door import Door
from agent.gateway.ledger import Ledger
from agent.gateway.starts import Starts
from agent.health import Health
from agent.ports import Clock

TURN = 1.0
PRUNE_EVERY = 60.0
LONGEST_PAUSE = 60.0

log = logging.getLogger("enrolld.housekeeping")


class Housekeeping:
    """One turn a second, on time for the end of a window."""

    def __init__(
        self,
        ledger: Ledger,
        door: Door,
        starts: Starts,
        bindings: Bindings,
        *,
        ceiling: Callable[[], int | None],
        clock: Clock,
        health: Health,
    ) -> None:
        self._ledger = ledger
        self._door = door
        self._starts = starts
        self._bindings = bindings
        self._ceiling = ceiling
        self._clock = clock
        self._health = health
        self._loaded = False
        self._try_at = 0.0
        self._pause = TURN
        self._pruned = 0.0

    async def open_store(self) -> None:
        """Read what was kept; without it the warning ``store_unavailable`` stands and it is tried again."""
        await self._work(self._load)

    async def run(self) -> NoReturn:
        """Turn until cancelled."""
        while True:
            self._health.turns.turned("housekeeping", self._clock.boot())
            self._starts.end_overdue()
            await self._work(self._turn)
            await self._clock.sleep(self._nap())

    async def _work(self, work: Callable[[], Awaitable[None]]) -> None:
        now = self._clock.boot()
        if now < self._try_at:
            return
        try:
            await work()
        except StoreError as error:
            self._health.set(
                "store_unavailable",
                f"{error}; nothing new is accepted until it works, next try in {self._pause:.0f} s",
                severity="error",
            )
            self._try_at = now + self._pause
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        else:
            self._health.clear("store_unavailable")
            self._pause = TURN

    async def _load(self) -> None:
        await self._ledger.load(self._door.restore)
        self._loaded = True

    async def _turn(self) -> None:
        if not self._loaded:
            await self._load()
        now = self._clock.boot()
        end = permits.next_end(self._ledger.permits)
        if end is not None and end <= now:
            await self._door.close_ended()
        elif not self._ledger.writable:
            await self._bindings.prune()  # any write finds out whether the disk is back
        if now - self._pruned >= PRUNE_EVERY:
            self._pruned = now
            await self._bindings.prune()
        self._watch_always()

    def _watch_always(self) -> None:
        """Without a ceiling a window that never ends is a standing warning (DESIGN 5)."""
        open_for_ever = [w for w in self._ledger.permits.windows.values() if w.ends is None]
        if open_for_ever and self._ceiling() is None:
            names = ", ".join(sorted(w.product_key or "any product" for w in open_for_ever))
            self._health.set(
                "window_always_open",
                f"new devices may join at any time ({names}): close it with `enrollctl permit .. never`, or "
                "set permits.ceiling",
            )
        else:
            self._health.clear("window_always_open")

    def _nap(self) -> float:
        end, now = permits.next_end(self._ledger.permits), self._clock.boot()
        if end is None or now < self._try_at:  # an end that cannot be written off waits with the rest
            return TURN
        return min(TURN, max(0.01, end - now))
