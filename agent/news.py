"""What is worth an event about an enrollee, and when, so that no flood of frames becomes one of events."""

from __future__ import annotations

from dataclasses import dataclass

from agent.entries import Entry, Rank

QUIET = 10.0  # seconds between two changes told of one enrollee: its address may change in every frame


@dataclass(frozen=True, slots=True)
class Change:
    """What one frame brought: ``found`` an enrollee, or ``changed`` it; ``fields`` are sorted names."""

    kind: str
    entry: Entry
    fields: tuple[str, ...] = ()


class Budget:
    """So many at once, and so many a second after that."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Spend one if there is one."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class News:
    """What may be told: at a quiet place everything at once, in a flood next to nothing.

    An enrollee heard once has to share 64 words and one in 5 s; its second frame has a budget of its own.
    """

    def __init__(self) -> None:
        self._first = Budget(64, 0.2)
        self._again = Budget(256, 16)

    def tell(self, entry: Entry, now: float) -> Change | None:
        """The change to tell of this entry now; also settles whether its next repeat is a plain one."""
        heard_again = entry.count > 1
        entry.steady = heard_again
        if entry.rank <= Rank.ACCESS_POINT:
            return None
        if not entry.announced:
            if (self._again if heard_again else self._first).take(now):
                entry.announced = True
                entry.changes.clear()
                return Change("found", entry)
            entry.steady = False
        elif entry.changes:
            if now >= entry.quiet_until and self._again.take(now):
                change = Change("changed", entry, tuple(sorted(entry.changes)))
                entry.changes.clear()
                entry.quiet_until = now + QUIET
                return change
            entry.steady = False
        return None
