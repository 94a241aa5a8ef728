"""Which enrollee is reported to the cloud next (DESIGN 5, Pace; wifi-awss.md 3.3).

One report per enrollee and interval, at most one a second, at most 64 enrollees on report. Pure: it is
asked, and told what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.entries import Entry, Rank
from agent.model import BleRecord

SLOTS = 64
SPACING = 1.0
INTERVAL = 60.0
LONGEST_INTERVAL = 86_400.0
RETRY = 10.0


@dataclass(slots=True)
class Slot:
    """An enrollee on report; ``interval`` is what the cloud asked for, in seconds."""

    entry: Entry
    interval: float = INTERVAL


class ReportPace:
    """Chooses among the entries that the given function lists; it reads them once per `next`."""

    def __init__(self, entries: Callable[[], Iterable[Entry]]) -> None:
        self._entries = entries
        self._slots: dict[str, Slot] = {}  # the longest unreported first
        self._free_at = float("-inf")
        self._next_due: float | None = None

    @property
    def on_report(self) -> int:
        """How many enrollees are on report, at most 64."""
        return len(self._slots)

    def next(self, now: float) -> Entry | None:
        """The enrollee to report now, None when there is none or the last report is less than 1 s ago.

        Configured products come first, then those heard twice or more, then first reports, then who waits
        longest. Strangers, bound devices, lost ones and those being provisioned are not reported.
        """
        if now < self._free_at:
            return None
        waiting: list[Entry] = []
        self._next_due = None
        for entry in self._entries():
            if not is_reportable(entry):
                continue
            self._adopt(entry)
            if entry.due <= now:
                waiting.append(entry)
            elif self._next_due is None or entry.due < self._next_due:
                self._next_due = entry.due
        chosen = min(self._with_slot(waiting, now), key=_order, default=None)
        if chosen is not None:
            self._next_due = now
        return chosen

    def reported(self, entry: Entry, now: float) -> None:
        """Say that this enrollee was reported; it takes a slot, another's if all are taken."""
        slot = self._slots.pop(entry.id, None)
        if slot is None:
            if len(self._slots) >= SLOTS:
                del self._slots[self._weakest(now).entry.id]
            slot = Slot(entry)
        self._slots[entry.id] = slot
        entry.reported = now
        entry.due = now + slot.interval
        self._free_at = now + SPACING

    def postponed(self, entry: Entry, now: float) -> None:
        """Say that the cloud did not take the report: it is tried again in 10 s, others before."""
        entry.due = now + RETRY
        self._free_at = now + SPACING

    def interval(self, enrollee_id: str, seconds: float) -> None:
        """Take over the interval that the cloud asks for; 0 and less mean 60 s, a day is the longest."""
        slot = self._slots.get(enrollee_id)
        if slot is None or slot.entry.reported is None:
            return
        slot.interval = min(seconds, LONGEST_INTERVAL) if seconds > 0 else INTERVAL
        slot.entry.due = slot.entry.reported + slot.interval

    def deadline(self, now: float) -> float | None:
        """When `next` may have something, as far as is known; None when nobody waits for a report."""
        if self._next_due is None:
            return None
        return max(now, self._next_due, self._free_at)

    def _adopt(self, entry: Entry) -> None:
        """An enrollee that was evicted and came back keeps its slot and its interval."""
        slot = self._slots.get(entry.id)
        if slot is not None and slot.entry is not entry:
            entry.reported, entry.due = slot.entry.reported, slot.entry.due
            slot.entry = entry

    def _with_slot(self, waiting: list[Entry], now: float) -> list[Entry]:
        """Those on report already, and those that could take a slot."""
        if len(self._slots) < SLOTS or not waiting:
            return waiting
        slots = [slot.entry for slot in self._slots.values()]
        worst = max(map(_level, slots))
        free = any(_is_free(entry, now) for entry in slots)
        return [e for e in waiting if free or e.id in self._slots or _level(e) < worst]

    def _weakest(self, now: float) -> Slot:
        """The slot to give up: a free one if there is any, else of the lowest class; the oldest of those."""
        return max(self._slots.values(), key=lambda slot: (_is_free(slot.entry, now), _level(slot.entry)))


def is_reportable(entry: Entry) -> bool:
    """Whether the cloud should hear of an entry at all: an enrollee that still waits to be let in."""
    if entry.rank <= Rank.ACCESS_POINT or entry.lost or entry.sessions:
        return False
    record = entry.record
    return not (isinstance(record, BleRecord) and record.bound and not record.wants_wifi)


def _is_free(entry: Entry, now: float) -> bool:
    return entry.lost or entry.due <= now


def _level(entry: Entry) -> tuple[int, bool]:
    """Smaller is better: the class, then whether it was heard again."""
    return -entry.rank, entry.count < 2


def _order(entry: Entry) -> tuple[int, bool, bool, float]:
    first = entry.reported is None
    return -entry.rank, entry.count < 2, not first, max(entry.first, entry.due)
