"""The bounded table under the registry: who is kept when there is no room (DESIGN 5, Registry).

Entries wait in queues by what may evict them: stale (unseen for 60 s, anybody), on probation (heard once,
anybody), regular (a higher class only). A newcomer takes the first of the lowest queue that it may take
from, so a place costs a constant number of steps on average however many newcomers there are.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

from agent.entries import Entry, Key, Rank

STALE_AFTER = 60.0
FORGOTTEN_AFTER = 600.0
MOST_OTHERS = 256
COLLECT_EVERY = 1.0  # looking for stale entries reads the whole table

STALE, PROBATION, REGULAR = 0, 1, 2

# What is evicted first. Stale ones, then by class, where probation counts as the class below.
ORDER = [(STALE, rank) for rank in Rank] + sorted(
    ((state, rank) for state in (PROBATION, REGULAR) for rank in Rank),
    key=lambda place: (place[1] - (place[0] == PROBATION), place[0]),
)


class Echoes:
    """Which keys were heard lately and could not be kept: 128 KiB, whatever comes.

    A flood that takes an enrollee's place between its first frame and its second then costs it nothing.
    Keys hash with the interpreter's random seed, so nobody on the air can choose whose echo to erase.
    """

    SLOTS = 1 << 15

    def __init__(self) -> None:
        self._prints = array("I", bytes(4 * self.SLOTS))

    def add(self, key: Key) -> None:
        """Remember a key, over whatever had the same place."""
        slot, mark = self._place(key)
        self._prints[slot] = mark

    def has(self, key: Key) -> bool:
        """True when that key was added and not overwritten since."""
        slot, mark = self._place(key)
        return self._prints[slot] == mark

    def _place(self, key: Key) -> tuple[int, int]:
        number = hash(key)
        return number % self.SLOTS, (number >> 15) & 0xFFFFFFFF | 1


class Table:
    """At most ``capacity`` entries by key, and counters of what was not kept.

    ``refused`` and ``evicted`` count newcomers without a place and entries that lost theirs, by rank.
    """

    def __init__(self, capacity: int, most_others: int = MOST_OTHERS) -> None:
        self.capacity = capacity
        self._most_others = most_others
        self.refused: Counter[Rank] = Counter()
        self.evicted: Counter[Rank] = Counter()
        self.held: Counter[Rank] = Counter()
        self.by_key: dict[Key, Entry] = {}
        self.by_data: dict[bytes, Entry] = {}
        self._queues = [[OrderedDict[Entry, None]() for _ in Rank] for _ in (STALE, PROBATION, REGULAR)]
        self._echoes = Echoes()
        self._gone: deque[Entry] = deque(maxlen=capacity)
        self._next_collect = float("-inf")
        self._overrun = float("-inf")

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.by_key.values())

    def admit(self, entry: Entry, now: float) -> bool:
        """Take in a newcomer, at the cost of another one if need be; False when it is only counted."""
        if entry.rank >= Rank.OTHER and self._echoes.has(entry.key):
            entry.count += 1
        if not self._make_room(entry.rank, now):
            self.refused[entry.rank] += 1
            self._echo(entry)
            if entry.rank == Rank.CONFIGURED:
                self._overrun = now
            return False
        self.by_key[entry.key] = entry
        self.held[entry.rank] += 1
        if entry.data:
            self.by_data[entry.data] = entry
        self.place(entry)
        return True

    def place(self, entry: Entry) -> None:
        """Put an entry into the queue that its state calls for; one with a session is in none."""
        if entry.queue is not None:
            del entry.queue[entry]
        entry.queue = None
        if not entry.sessions:
            entry.queue = self._queues[self._state(entry)][entry.rank]
            entry.queue[entry] = None
            entry.queued = entry.last

    def rerank(self, entry: Entry, rank: Rank) -> None:
        """Move an entry to another class."""
        self.held[entry.rank] -= 1
        self.held[rank] += 1
        entry.rank = rank
        self.place(entry)

    def rekey(self, entry: Entry, data: bytes) -> None:
        """Let an entry be found by its newest manufacturer data."""
        self.by_data.pop(entry.data, None)
        entry.data = data
        if data:
            self.by_data[data] = entry

    def trim(self) -> None:
        """Drop unconfigured entries beyond their share, as after a change of the products."""
        while self.held[Rank.OTHER] > self._most_others:
            queues = [self._queues[state][Rank.OTHER] for state in (STALE, PROBATION, REGULAR)]
            queue = next((queue for queue in queues if queue), None)
            if queue is None:
                return
            self._evict(_oldest(queue))

    def collect(self, now: float) -> None:
        """Mark what was not heard for 60 s as lost, and forget what was not heard for 10 minutes."""
        self._next_collect = now + COLLECT_EVERY
        for entry in list(self.by_key.values()):
            if entry.sessions:
                entry.guarded = now  # a connected device does not advertise
                continue
            unseen = now - max(entry.last, entry.guarded)
            if unseen >= STALE_AFTER and not entry.lost:
                self._lose(entry)
            if unseen >= FORGOTTEN_AFTER:
                self._drop(entry)

    def take_gone(self) -> list[Entry]:
        """The announced entries that were lost or evicted since the last call."""
        gone = list(self._gone)
        self._gone.clear()
        return gone

    def overrun(self, now: float) -> bool:
        """True for a minute after a newcomer of a configured product found every place taken by its like."""
        return now - self._overrun < STALE_AFTER

    def _state(self, entry: Entry) -> int:
        if entry.lost:
            return STALE
        return REGULAR if entry.count > 1 else PROBATION

    def _make_room(self, rank: Rank, now: float) -> bool:
        if self._has_room(rank):
            return True
        if now >= self._next_collect:
            self.collect(now)
            if self._has_room(rank):
                return True
        crowded = rank == Rank.OTHER and self.held[rank] >= self._most_others
        for state, held in ORDER:
            queue = self._queues[state][held]
            allowed = state != REGULAR or held < rank
            if queue and allowed and (held == rank or not crowded):
                self._evict(_oldest(queue))
                return True
        return False

    def _has_room(self, rank: Rank) -> bool:
        if rank == Rank.OTHER and self.held[rank] >= self._most_others:
            return False
        return len(self.by_key) < self.capacity

    def _evict(self, entry: Entry) -> None:
        self.evicted[entry.rank] += 1
        self._echo(entry)
        if entry.announced and not entry.lost:
            self._gone.append(entry)
        self._drop(entry)

    def _echo(self, entry: Entry) -> None:
        if entry.rank >= Rank.OTHER:
            self._echoes.add(entry.key)

    def _lose(self, entry: Entry) -> None:
        entry.lost = True
        entry.steady = False
        if entry.announced:
            self._gone.append(entry)
        self.place(entry)

    def _drop(self, entry: Entry) -> None:
        entry.lost = True
        del self.by_key[entry.key]
        self.by_data.pop(entry.data, None)
        self.held[entry.rank] -= 1
        if entry.queue is not None:
            del entry.queue[entry]
            entry.queue = None


def _oldest(queue: OrderedDict[Entry, None]) -> Entry:
    """The entry that waits longest; one heard since it was put there goes to the back first."""
    entry = next(iter(queue))
    while entry.last > entry.queued:
        entry.queued = entry.last
        queue.move_to_end(entry)
        entry = next(iter(queue))
    return entry
